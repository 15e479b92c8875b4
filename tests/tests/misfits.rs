//! What does not fit a model is an error of the library in every family. With kernels it would be a panic, on a GPU numbers
//! that mean nothing.

use burn::tensor::Tensor;
use peft_core::{
    Mask, PaddingSide, Result, TokenBatch, Topology, VirtualTokens,
    contract::{frozen::activations, rng},
};
use peft_tests::{
    Family, Shape, device, passes::families, random_model, virtual_tokens::random_prompt,
};

/// It is refused, and the message says so.
fn refused<T>(case: &str, found: Result<T>, says: &str) {
    let error = found.map(|_| ()).expect_err(case).to_string();
    assert!(error.contains(says), "{case}: {error}");
}

fn batch(rows: &[&[u32]]) -> TokenBatch {
    TokenBatch::new(rows, PaddingSide::Left)
}

#[test]
fn token_ids_outside_the_vocabulary() {
    for family in families() {
        let loaded = random_model(family, Shape::default(), 1);
        let (model, none) = (loaded.model.as_ref(), VirtualTokens::none());
        let outside = model.spec().vocab_size as u32;
        let says = format!("row 1 has the token id {outside}, outside the vocabulary of {outside}");
        let fine = || batch(&[&[5, 6, outside - 1], &[7]]);
        let wrong = || batch(&[&[5, 6, 2], &[7, outside]]);
        let case = format!("{family:?}");
        match model.spec().topology {
            Topology::EncoderDecoder => {
                assert!(model.forward(&fine().with_decoder(fine()), &none).is_ok(), "{case}");
                refused(&case, model.forward(&wrong().with_decoder(fine()), &none), &says);
                refused(&case, model.forward(&fine().with_decoder(wrong()), &none), &says);
                refused(&case, model.begin(&wrong(), &none), &says);
            }
            _ => {
                assert!(model.forward(&fine(), &none).is_ok(), "{case}");
                refused(&case, model.forward(&wrong(), &none), &says);
                refused(&case, model.states_below(&wrong(), &none, 1), &says);
                let says = format!("the token id {outside}, outside the vocabulary");
                refused(&case, activations(model, &[1, outside]), &says);
            }
        }
        if model.spec().topology != Topology::EncoderOnly {
            let cache = model.begin(&fine(), &none).unwrap();
            refused(&case, model.forward_cached(&wrong(), cache), &says);
        }
    }
}

#[test]
fn a_decoder_of_other_rows_than_its_encoder() {
    for family in Family::ENCODER_DECODER {
        let loaded = random_model(family, Shape::default(), 1);
        let (model, none) = (loaded.model.as_ref(), VirtualTokens::none());
        for (encoder, decoder) in [(1, 2), (2, 1), (2, 3)] {
            let rows = |count| batch(&vec![&[5u32, 6][..]; count]);
            let says = format!("{decoder} rows of a decoder for {encoder} rows that the encoder");
            let both = rows(encoder).with_decoder(rows(decoder));
            refused("one pass", model.forward(&both, &none), &says);
            let cache = model.begin(&rows(encoder), &none).unwrap();
            refused("a cache", model.forward_cached(&rows(decoder), cache), &says);
        }
    }
}

#[test]
fn a_prompt_and_its_mask_of_other_rows_than_the_batch() {
    for family in families() {
        let loaded = random_model(family, Shape::default(), 1);
        let model = loaded.model.as_ref();
        let rows = || batch(&[&[5u32, 6][..]; 4]);
        let both = rows().with_decoder(rows());
        let pass = |r, mask| {
            let prompt = random_prompt(model, [r, 3], &mut rng::stream(1, 0, "test"), &device());
            model.forward(&both, &prompt.with_mask(Mask::full(mask, 3))?)
        };
        let case = format!("{family:?}");
        for (r, mask) in [(1, 1), (1, 4), (4, 1), (4, 4)] {
            assert!(pass(r, mask).is_ok(), "{case}: {r} {mask}");
        }
        refused(&case, pass(2, 4), "prompt rows have the shape [2, 3,");
        refused(&case, pass(4, 2), "a mask of virtual tokens for 2 rows cannot serve a batch of 4");
        refused(&case, pass(2, 2), "virtual tokens for 2 rows cannot serve a batch of 4");
    }
}

#[test]
fn adapters_that_are_not_there_or_of_another_model() {
    let of = |h| VirtualTokens::embeddings(Tensor::zeros([1, 2, h], &device()));
    let says = "row 1 has the adapter 2, expected one below 2";
    refused("two", VirtualTokens::per_row(&[of(4), of(4)], &[0, 2, 1]), says);
    refused("one", VirtualTokens::per_row(&[of(4)], &[1]), "row 0 has the adapter 1");
    refused("none", VirtualTokens::per_row(&[], &[0]), "row 0 has the adapter 0");
    refused("sizes", VirtualTokens::per_row(&[of(4), of(6)], &[0, 1]), "different hidden sizes");
    let prefix = |family, head_dim| {
        let loaded = random_model(family, Shape { head_dim, ..Shape::default() }, 1);
        activations(loaded.model.as_ref(), &[5, 6]).unwrap()
    };
    let both = [prefix(Family::Llama, 4), prefix(Family::Llama, 6)];
    refused("heads", VirtualTokens::per_row(&both, &[0, 1]), "different heads");
    let both = [prefix(Family::Gpt2, 6), prefix(Family::Bert, 6)];
    refused("sites", VirtualTokens::per_row(&both, &[0, 1]), "different layers");
}
