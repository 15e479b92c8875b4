//! The numbers of parameters in the papers' tables, from the sizes in the models' configs: what the methods count on
//! models of these sizes. docs/RESULTS.md has them.

use burn::tensor::{DType, Device, Int, Tensor};
use peft_core::{
    Error, FrozenModel, ModelSpec, PeftMethod, Result, Site, SiteSpec, StackInput, StackOutput,
    Topology,
};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{Family, Shape, device, random_model};

/// What a config says of a model's sizes.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    family: Family,
    vocab: usize,
    hidden: usize,
    /// Layers of the encoder, or of the only stack.
    layers: usize,
    decoder_layers: usize,
    heads: usize,
    head_dim: usize,
    forward: usize,
    /// Rows of the table of positions; for T5 buckets of the relative bias.
    positions: usize,
    token_types: usize,
}

/// T5 1.1, whose LM-adapted checkpoints have the same sizes: `d_model`, `num_heads`, `num_layers`, `d_ff`.
const fn t5(hidden: usize, heads: usize, layers: usize, forward: usize) -> Sizes {
    Sizes {
        family: Family::T5Gated,
        vocab: 32128,
        hidden,
        layers,
        decoder_layers: layers,
        heads,
        head_dim: 64,
        forward,
        positions: 32,
        token_types: 0,
    }
}

const T5: [(&str, Sizes); 5] = [
    ("small", t5(512, 6, 8, 1024)),
    ("base", t5(768, 12, 12, 2048)),
    ("large", t5(1024, 16, 24, 2816)),
    ("xl", t5(2048, 32, 24, 5120)),
    ("xxl", t5(4096, 64, 24, 10240)),
];

/// A model of one stack whose heads have 64 numbers: `vocab_size`, hidden size, layers.
const fn one_stack(family: Family, vocab: usize, hidden: usize, layers: usize) -> Sizes {
    let (positions, token_types) = match family {
        Family::Gpt2 => (1024, 0),
        Family::Roberta => (514, 1),
        _ => (512, 2),
    };
    Sizes {
        family,
        vocab,
        hidden,
        layers,
        decoder_layers: 0,
        heads: hidden / 64,
        head_dim: 64,
        forward: 4 * hidden,
        positions,
        token_types,
    }
}

const GPT2_MEDIUM: Sizes = one_stack(Family::Gpt2, 50257, 1024, 24);
const GPT2_LARGE: Sizes = one_stack(Family::Gpt2, 50257, 1280, 36);
const BERT_LARGE: Sizes = one_stack(Family::Bert, 28996, 1024, 24);
const ROBERTA_LARGE: Sizes = one_stack(Family::Roberta, 50265, 1024, 24);
const BART_LARGE: Sizes = Sizes {
    family: Family::Bart,
    vocab: 50265,
    hidden: 1024,
    layers: 12,
    decoder_layers: 12,
    heads: 16,
    head_dim: 64,
    forward: 4096,
    positions: 1026,
    token_types: 0,
};

impl Sizes {
    fn spec(&self) -> ModelSpec {
        let site = |site, num_layers| SiteSpec {
            site,
            num_layers,
            num_heads: self.heads,
            num_kv_heads: self.heads,
            head_dim: self.head_dim,
        };
        let (topology, sites) = match self.family {
            Family::T5Gated | Family::Bart => {
                let of_decoder =
                    [Site::DecoderSelf, Site::Cross].map(|one| site(one, self.decoder_layers));
                let sites =
                    [vec![site(Site::EncoderSelf, self.layers)], of_decoder.to_vec()].concat();
                (Topology::EncoderDecoder, sites)
            }
            Family::Gpt2 => (Topology::DecoderOnly, vec![site(Site::DecoderSelf, self.layers)]),
            _ => (Topology::EncoderOnly, vec![site(Site::EncoderSelf, self.layers)]),
        };
        ModelSpec {
            model_type: "a config".into(),
            topology,
            hidden_size: self.hidden,
            vocab_size: self.vocab,
            sites,
            max_positions: None,
            max_decoder_positions: None,
            dtype: DType::F32,
        }
    }

    /// The parameters of the whole model, each layer counted by hand.
    fn base(&self) -> usize {
        let (h, f, a) = (self.hidden, self.forward, self.heads * self.head_dim);
        let biased = |input: usize, output: usize| (input + 1) * output;
        let norm = 2 * h;
        let attention = 3 * biased(h, a) + biased(a, h);
        let layer = attention + biased(h, f) + biased(f, h) + 2 * norm;
        match self.family {
            Family::T5Gated => {
                let (attention, forward) = (4 * h * a, 3 * h * f);
                let encoder = self.layers * (attention + forward + 2 * h);
                let decoder = self.decoder_layers * (2 * attention + forward + 3 * h);
                // Embedding and head; the bias of the first layer of either stack, its last norm.
                2 * self.vocab * h + encoder + decoder + 2 * (self.positions * self.heads + h)
            }
            Family::Bart => {
                let stack = self.positions * h + norm;
                let decoder = self.decoder_layers * (layer + attention + norm);
                self.vocab * h + 2 * stack + self.layers * layer + decoder
            }
            Family::Gpt2 => (self.vocab + self.positions) * h + self.layers * layer + norm,
            _ => {
                let embeddings = (self.vocab + self.positions + self.token_types) * h + norm;
                embeddings + self.layers * layer + biased(h, h)
            }
        }
    }

    fn prompt(&self, p: usize) -> usize {
        let model = Outline(self.spec());
        let made =
            PromptTuning::init(PromptConfig::new(p), &model, &PromptInit::random(), 0, &device());
        let made = made.unwrap();
        assert_eq!(made.num_trainable(), made.num_deployed());
        made.num_deployed()
    }

    /// Of prefix tuning with an MLP of a width: trained, and deployed.
    fn prefix(&self, p: usize, hidden_size: usize) -> (usize, usize) {
        let config = PrefixConfig::new(p).with_hidden_size(hidden_size);
        let model = Outline(self.spec());
        let made = PrefixTuning::init(config, &model, &PrefixInit::Random, 0, &device()).unwrap();
        (made.num_trainable(), made.num_deployed())
    }

    fn ptv2(&self, p: usize) -> usize {
        let model = Outline(self.spec());
        let init = PTuningV2Init::default();
        let made = PTuningV2::init(PTuningV2Config::new(p), &model, &init, 0, &device()).unwrap();
        assert_eq!(made.num_trainable(), made.num_deployed());
        made.num_deployed()
    }
}

/// A model that has sizes alone: none of these methods asks for more to begin at random.
#[derive(Debug)]
struct Outline(ModelSpec);

impl FrozenModel for Outline {
    fn spec(&self) -> &ModelSpec {
        &self.0
    }

    fn device(&self) -> Device {
        device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [b, t] = ids.dims();
        Tensor::zeros([b, t, self.0.hidden_size], &device())
    }

    fn layers(&self, _: StackInput) -> Result<StackOutput> {
        Err(Error::Mismatch("it has no layers".into()))
    }
}

/// In percent, with two digits that count.
fn share(part: usize, whole: usize) -> String {
    let percent = 100.0 * part as f64 / whole as f64;
    let digits = (1 - percent.log10().floor() as i32).max(0) as usize;
    format!("{percent:.digits$}")
}

#[test]
fn prompts_on_t5_have_p_times_h() {
    let base: Vec<usize> = T5.iter().map(|(_, sizes)| sizes.base()).collect();
    assert_eq!(base, [76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352]);
    for (p, expected) in [
        (1, [512, 768, 1024, 2048, 4096]),
        (5, [2560, 3840, 5120, 10_240, 20_480]),
        (20, [10_240, 15_360, 20_480, 40_960, 81_920]),
        (50, [25_600, 38_400, 51_200, 102_400, 204_800]),
        (100, [51_200, 76_800, 102_400, 204_800, 409_600]),
        (150, [76_800, 115_200, 153_600, 307_200, 614_400]),
    ] {
        let found: Vec<usize> = T5.iter().map(|(_, sizes)| sizes.prompt(p)).collect();
        assert_eq!(found, expected, "P {p}");
    }
    let shares: Vec<String> =
        T5.iter().map(|(_, sizes)| share(sizes.prompt(100), sizes.base())).collect();
    assert_eq!(shares, ["0.067", "0.031", "0.013", "0.0072", "0.0037"]);
}

#[test]
fn prefixes_on_gpt2_and_bart_have_two_numbers_a_layer_and_width() {
    assert_eq!((GPT2_MEDIUM.base(), GPT2_LARGE.base()), (354_823_168, 774_030_080));
    assert_eq!(BART_LARGE.base(), 406_291_456);
    for (sizes, p, hidden_size, trained, deployed) in [
        (GPT2_MEDIUM, 5, 512, 25_744_896, 245_760),
        (GPT2_MEDIUM, 10, 512, 25_750_016, 491_520),
        (GPT2_LARGE, 5, 512, 47_940_352, 460_800),
        (GPT2_LARGE, 10, 512, 47_946_752, 921_600),
        (BART_LARGE, 5, 800, 61_531_488, 368_640),
        (BART_LARGE, 100, 800, 61_823_328, 7_372_800),
        (BART_LARGE, 200, 800, 62_130_528, 14_745_600),
    ] {
        assert_eq!(sizes.prefix(p, hidden_size), (trained, deployed), "{sizes:?} {p}");
    }
    let medium = share(GPT2_MEDIUM.prefix(5, 512).1, GPT2_MEDIUM.base());
    let bart = [5, 100].map(|p| share(BART_LARGE.prefix(p, 800).1, BART_LARGE.base()));
    assert_eq!((medium.as_str(), bart), ("0.069", ["0.091".to_string(), "1.8".to_string()]));
}

#[test]
fn p_tuning_v2_on_bert_and_roberta_has_as_many() {
    assert_eq!((BERT_LARGE.base(), ROBERTA_LARGE.base()), (333_579_264, 355_359_744));
    for (p, expected) in [
        (8, 393_216),
        (11, 540_672),
        (16, 786_432),
        (20, 983_040),
        (40, 1_966_080),
        (128, 6_291_456),
        (224, 11_010_048),
    ] {
        assert_eq!((BERT_LARGE.ptv2(p), ROBERTA_LARGE.ptv2(p)), (expected, expected), "P {p}");
    }
    // The paper's 0.1 to 3 % of the model.
    let shares = [8, 224].map(|p| share(ROBERTA_LARGE.ptv2(p), ROBERTA_LARGE.base()));
    assert_eq!(shares, ["0.11", "3.1"]);
}

#[test]
fn models_are_counted_as_loading_counts_them() {
    let shape = Shape { layers: 2, kv_heads: 2, head_dim: 6, positions: 64 };
    let h = shape.kv_heads * shape.head_dim;
    let tiny = Sizes {
        family: Family::Bert,
        vocab: 23,
        hidden: h,
        layers: 2,
        decoder_layers: 3,
        heads: 2,
        head_dim: 6,
        forward: 2 * h + 1,
        positions: 64,
        token_types: 2,
    };
    for sizes in [
        tiny,
        Sizes { family: Family::Roberta, positions: 67, token_types: 1, ..tiny },
        Sizes { family: Family::Gpt2, ..tiny },
        Sizes { family: Family::T5Gated, hidden: h + 2, positions: 8, ..tiny },
    ] {
        let loaded = random_model(sizes.family, shape, 1);
        // Random weights have no pooler, of H by H with biases.
        let is_encoder = matches!(sizes.family, Family::Bert | Family::Roberta);
        let pooler = if is_encoder { (sizes.hidden + 1) * sizes.hidden } else { 0 };
        assert_eq!(sizes.base() - pooler, loaded.report.num_parameters, "{:?}", sizes.family);
        let spec = loaded.model.spec();
        assert_eq!((&sizes.spec().sites, sizes.hidden), (&spec.sites, spec.hidden_size));
    }
}
