//! The operations of a step, part by part.

use peft_core::{READ_COLUMNS, Side, Site, Topology};

use super::{
    stack::{Past, Read, StackPass, Tally},
    step::{Executor, Placing, Step, TrainedHead},
    work::Work,
};
use crate::families::Outline;

/// A part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All that layers take which nothing trained reaches.
    Frozen,
    /// Products with the frozen matrices of the other layers.
    Forward,
    /// Their gradients with respect to what they are multiplied with.
    Backward,
    /// Layers that are computed a second time for their gradients.
    Again,
    /// Attention, forward and backward.
    Attention,
    /// The prompt of a decoder, which passes through the layers once for all rows.
    Prompt,
    /// The head at the positions with something to predict.
    Head,
    /// What makes the virtual tokens.
    Network,
    /// Norms, activations, logits: what is read and written beside products.
    Elements,
    /// The optimizer.
    Update,
}

impl Part {
    /// A name that people and programs read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen layers",
            Self::Forward => "layers forward",
            Self::Backward => "layers backward",
            Self::Again => "layers again",
            Self::Attention => "attention",
            Self::Prompt => "prompt",
            Self::Head => "head",
            Self::Network => "its network",
            Self::Elements => "elements",
            Self::Update => "update",
        }
    }

    /// Whether its operations are counted exactly: those of products are. The others are bytes that are estimated.
    pub const fn is_exact(self) -> bool {
        !matches!(self, Self::Elements | Self::Update)
    }
}

/// Forward, its gradients with respect to the weights, and with respect to what enters.
const OF_TRAINED: f64 = 3.0;
/// Passes over the logits: written, made exponentials, read by the gradient's product.
const PASSES_OF_LOGITS: f64 = 4.0;
/// Numbers that the update of a parameter reads and writes: it, its gradient and two moments.
const UPDATED: f64 = 7.0;

/// The parts of a step, in the order in which they are made; those that it does not have are left out.
pub fn parts_of(step: &Step<'_>) -> Vec<(Part, Work)> {
    let (rows, prompt) = passes(step);
    let rows = sum(&rows);
    let batches = step.batches as f64;
    let h = step.outline.spec.hidden_size as f64;
    let head = head(step);
    // Each slice of a batch reads the matrices anew.
    let of_rows = |work: Work| {
        let reads = step.slices() as f64;
        Work { weights: work.weights * reads, ..work } * batches
    };
    let network = Work::product(step.method.virtual_tokens as f64, step.method.network as f64);
    let trained = step.method.trained + step.head.map_or(0, |head| head.matrices(h as usize));
    let [of_prompt, moved_by_prompt] = prompt.map_or([Work::default(); 2], |tally| {
        let products = tally.forward + tally.backward + tally.attention;
        [products, tally.elements]
    });
    let parts = [
        (Part::Frozen, of_rows(rows.frozen)),
        (Part::Forward, of_rows(rows.forward)),
        (Part::Backward, of_rows(rows.backward)),
        (Part::Again, of_rows(rows.again)),
        (Part::Attention, of_rows(rows.attention)),
        (Part::Prompt, of_prompt),
        (Part::Head, of_rows(Work { moved: 0.0, ..head })),
        (Part::Network, network * OF_TRAINED),
        (Part::Elements, of_rows(rows.elements + Work::moved(head.moved)) + moved_by_prompt),
        (Part::Update, Work::moved(UPDATED * trained as f64)),
    ];
    parts.into_iter().filter(|(_, work)| *work != Work::default()).collect()
}

fn sum(tallies: &[Tally]) -> Tally {
    tallies.iter().fold(Tally::default(), |mut sum, tally| {
        sum.forward += tally.forward;
        sum.backward += tally.backward;
        sum.again += tally.again;
        sum.attention += tally.attention;
        sum.frozen += tally.frozen;
        sum.elements += tally.elements;
        sum.tracked |= tally.tracked;
        sum
    })
}

/// The passes of the rows of a batch through the stacks, and that of a decoder's prompt.
fn passes(step: &Step<'_>) -> (Vec<Tally>, Option<Tally>) {
    let Step { outline, method, batch, .. } = step;
    let spec = &outline.spec;
    let kernels = matches!(step.executor, Executor::Kernels { .. });
    let p = method.virtual_tokens;
    let is_prompt = method.placing == Placing::Prompt;
    let pass = |side: Side, site| StackPass {
        outline,
        side,
        site,
        rows: batch.rows,
        queries: 0,
        causal: side == Side::Decoder,
        past: Past::None,
        read: None,
        tracked: false,
        output_read: true,
        computed: 0,
        recompute: step.recompute,
        kernels,
    };
    let past = |site: Site| match method.layers_of(site) {
        [] => Past::None,
        layers => Past::Layers(p, layers),
    };
    let mut tallies = Vec::new();
    let mut prompt = None;
    if let Some(site) = spec.site(Site::EncoderSelf) {
        let queries = batch.tokens as usize + step.in_front();
        let past = past(Site::EncoderSelf);
        let whole_rows = step.head.is_some_and(|head| head.reads_rows);
        let computed = match spec.topology {
            // The states that a head alone reads are kept for all positions.
            Topology::EncoderOnly if whole_rows && method.placing != Placing::Nothing => {
                queries.min(READ_COLUMNS)
            }
            _ => queries,
        };
        let encoder = pass(Side::Encoder, site);
        let encoder = StackPass { queries, computed, past, tracked: is_prompt, ..encoder };
        tallies.push(encoder.tally());
    }
    if let Some(site) = spec.site(Site::DecoderSelf) {
        let decoder = pass(Side::Decoder, site);
        tallies.push(match (spec.topology, tallies.first()) {
            (Topology::EncoderDecoder, Some(encoder)) => {
                let read = spec.site(Site::Cross).map(|site| Read {
                    site,
                    encoded: batch.tokens as usize + step.in_front(),
                    tracked: encoder.tracked,
                    past: past(Site::Cross),
                });
                let (queries, past) = (batch.decoder_tokens as usize, past(Site::DecoderSelf));
                StackPass { queries, computed: queries, past, read, ..decoder }.tally()
            }
            _ => {
                let queries = batch.tokens as usize;
                let past = if is_prompt { Past::All(p) } else { past(Site::DecoderSelf) };
                if is_prompt {
                    // Run once, and not computed again. A head reads rows alone; the token that follows the prompt is
                    // predicted from what leaves its last layer.
                    let recompute = false;
                    let output_read =
                        step.head.is_none() && batch.targets >= batch.rows * batch.tokens;
                    let whole = StackPass {
                        rows: 1,
                        queries: p,
                        computed: p,
                        output_read,
                        recompute,
                        ..decoder
                    };
                    prompt = Some(StackPass { tracked: true, ..whole }.tally());
                }
                StackPass { queries, computed: queries, past, ..decoder }.tally()
            }
        });
    }
    (tallies, prompt)
}

/// The head of one batch.
fn head(step: &Step<'_>) -> Work {
    let Step { outline, batch, .. } = step;
    let Outline { spec, .. } = outline;
    let (h, targets) = (spec.hidden_size as f64, batch.targets as f64);
    let is_tracked = step.method.placing != Placing::Nothing;
    let Some(TrainedHead { classes, hidden, reads_rows }) = step.head else {
        // It is frozen: forward, and its input's gradient.
        let vocab = spec.vocab_size as f64;
        let logits = Work::moved(PASSES_OF_LOGITS * targets * vocab);
        return Work::product(targets, h * vocab) * 2.0 + logits;
    };
    let mut work = Work::default();
    let times = |passes: bool| OF_TRAINED - if passes { 0.0 } else { 1.0 };
    work += Work::product(targets, h * classes as f64) * times(is_tracked || hidden);
    if hidden {
        work += Work::product(targets, h * h) * times(is_tracked);
    }
    if reads_rows && outline.pooler {
        work += Work::product(targets, h * h) * if is_tracked { 2.0 } else { 1.0 };
    }
    work
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        config::ModelConfig,
        cost::{Batch, Method},
        families::outline_of,
    };

    const KERNELS: Executor = Executor::Kernels { threads: 2 };

    fn outline(config: Value) -> Outline {
        outline_of(&ModelConfig::from_value(config, Path::new("config.json")).unwrap()).unwrap()
    }

    fn gpt2_small() -> Outline {
        outline(
            json!({"model_type": "gpt2", "n_embd": 768, "vocab_size": 50257, "n_positions": 1024,
            "n_layer": 12, "n_head": 12, "architectures": ["GPT2LMHeadModel"]}),
        )
    }

    fn minilm() -> Outline {
        outline(json!({"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
            "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12,
            "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}))
    }

    /// P virtual tokens in these layers of the only site.
    fn ptv2(outline: &Outline, p: usize, layers: &[usize]) -> Method {
        let site = outline.spec.self_site().unwrap();
        let trained = p * layers.len() * site.kv_width();
        let placing = Placing::KeyValues(vec![(site.site, layers.to_vec())]);
        Method { virtual_tokens: p, placing, network: 0, trained }
    }

    fn prompt(outline: &Outline, p: usize) -> Method {
        let trained = p * outline.spec.hidden_size;
        Method { virtual_tokens: p, placing: Placing::Prompt, network: 0, trained }
    }

    fn step<'a>(outline: &'a Outline, method: &'a Method, targets: u64) -> Step<'a> {
        Step {
            outline,
            method,
            head: None,
            batch: Batch { rows: 8, tokens: 64, decoder_tokens: 0, targets },
            batches: 1,
            recompute: false,
            executor: KERNELS,
        }
    }

    /// 10⁹ operations of a part.
    fn billions(step: &Step<'_>, part: Part) -> f64 {
        let found = parts_of(step).into_iter().find(|(own, _)| *own == part);
        found.map_or(0.0, |(_, work)| work.operations / 1e9)
    }

    fn all(step: &Step<'_>) -> f64 {
        parts_of(step).iter().map(|(_, work)| work.operations / 1e9).sum()
    }

    fn assert_near(found: f64, expected: f64, part: f64) {
        assert!((found / expected - 1.0).abs() < part, "{found}, expected {expected}");
    }

    /// The numbers of docs/PERFORMANCE.md: 8 rows of 64 tokens, P 16.
    #[test]
    fn operations_are_those_of_the_measured_steps() {
        let gpt2 = gpt2_small();
        let every: Vec<usize> = (0..12).collect();
        let method = ptv2(&gpt2, 16, &every);
        let own = step(&gpt2, &method, 512);
        for (part, expected) in [
            (Part::Forward, 87.0),
            (Part::Backward, 85.0),
            (Part::Head, 79.0),
            (Part::Attention, 5.0),
        ] {
            assert_near(billions(&own, part), expected, 0.03);
        }
        assert_near(all(&own), 256.0, 0.005);
        // Exactly: 12 layers of 12 H² numbers, and nothing below the queries, keys and values of the first.
        let of_layer = 2.0 * 512.0 * (12 * 768 * 768) as f64 / 1e9;
        assert_near(billions(&own, Part::Forward), 12.0 * of_layer, 1e-12);
        assert_near(billions(&own, Part::Backward), (12.0 - 0.25) * of_layer, 1e-12);

        let minilm = minilm();
        let method = ptv2(&minilm, 16, &[0, 1, 2, 3, 4, 5]);
        let head = Some(TrainedHead { classes: 7, hidden: false, reads_rows: true });
        let own = Step { head, ..step(&minilm, &method, 8) };
        // Of the last layer the queries, keys and values of all positions, and 4 positions of each row through the rest.
        let of_layer = 2.0 * 512.0 * (384 * 384) as f64 / 1e9;
        let last = 3.0 + 9.0 / 16.0;
        assert_near(billions(&own, Part::Forward), (60.0 + last) * of_layer, 1e-12);
        assert_near(billions(&own, Part::Backward), (57.0 + last) * of_layer, 1e-12);
        // Of 64 queries and 80 keys two products forward and five backward; in the first layer two, and two with the 16
        // virtual keys, in the last of 4 queries.
        let attention =
            2.0 * (8 * 384) as f64 * (32 * 64 * 80 + 7 * 4 * 80 + 2 * 64 * 16) as f64 / 1e9;
        assert_near(billions(&own, Part::Attention), attention, 1e-12);
        assert_near(all(&own), 19.6, 0.01);
    }

    #[test]
    fn a_decoders_prompt_is_computed_once_and_an_encoders_in_each_row() {
        let gpt2 = gpt2_small();
        let (short, long) = (prompt(&gpt2, 20), prompt(&gpt2, 100));
        let of = |method| {
            let own = step(&gpt2, method, 512);
            (billions(&own, Part::Prompt), billions(&own, Part::Forward))
        };
        let ((short, rows), (long, same)) = (of(&short), of(&long));
        assert_eq!(rows, same);
        // Forward and backward, whatever the number of rows; attention is a little more than in proportion.
        let of_layers = 2.0 * 2.0 * 20.0 * (144 * 768 * 768) as f64 / 1e9;
        assert!(short > of_layers && short < 1.05 * of_layers, "{short}");
        assert!(long > 5.0 * short && long < 5.5 * short, "{long}");
        // Without a loss of the first token, or with a head: of the last layer keys and values alone have gradients,
        // through the 3 H² of queries, keys and values.
        let method = prompt(&gpt2, 20);
        let whole = billions(&step(&gpt2, &method, 512), Part::Prompt);
        let head = Some(TrainedHead { classes: 2, hidden: false, reads_rows: true });
        let of_layer = 2.0 * 20.0 * (9 * 768 * 768) as f64 + 2.0 * 768.0 * (5 * 20 * 20) as f64;
        for own in [step(&gpt2, &method, 504), Step { head, ..step(&gpt2, &method, 8) }] {
            assert_near(whole - billions(&own, Part::Prompt), of_layer / 1e9, 1e-9);
        }
        let minilm = minilm();
        let of = |p| {
            let method = prompt(&minilm, p);
            let own = step(&minilm, &method, 8);
            assert_eq!(billions(&own, Part::Prompt), 0.0);
            // What enters the first layer has a gradient, so that backward is forward.
            assert_eq!(billions(&own, Part::Forward), billions(&own, Part::Backward));
            billions(&own, Part::Forward)
        };
        assert_near(of(36), of(1) * 100.0 / 65.0, 1e-12);
    }

    #[test]
    fn nothing_is_differentiated_below_what_is_trained() {
        let minilm = minilm();
        let (all, upper) = (ptv2(&minilm, 16, &[0, 1, 2, 3, 4, 5]), ptv2(&minilm, 16, &[3, 4, 5]));
        let head = Some(TrainedHead { classes: 7, hidden: false, reads_rows: true });
        let of = |method: &Method, part| billions(&Step { head, ..step(&minilm, method, 8) }, part);
        let three_layers = 3.0 * 2.0 * 512.0 * (12 * 384 * 384) as f64 / 1e9;
        assert_near(of(&upper, Part::Forward), of(&all, Part::Forward) - three_layers, 1e-12);
        assert!(of(&upper, Part::Frozen) > of(&upper, Part::Forward));
        assert_eq!(of(&all, Part::Frozen), 0.0);
        // The head alone: no gradient goes into a layer.
        let none = Method { virtual_tokens: 0, placing: Placing::Nothing, network: 0, trained: 0 };
        assert_eq!(
            [Part::Forward, Part::Backward, Part::Attention].map(|p| of(&none, p)),
            [0.0; 3]
        );
        // 8 states, 7 classes: the logits and the gradient of the matrix.
        assert_near(of(&none, Part::Head), 2.0 * 2.0 * (8 * 384 * 7) as f64 / 1e9, 1e-12);
        let gpt2 = gpt2_small();
        let method = prompt(&gpt2, 20);
        let once = step(&gpt2, &method, 512);
        let twice = Step { recompute: true, ..once.clone() };
        assert!(billions(&twice, Part::Again) > billions(&twice, Part::Forward));
        let batches = Step { batches: 3, ..once.clone() };
        assert_eq!(billions(&batches, Part::Prompt), billions(&once, Part::Prompt));
        assert_near(billions(&batches, Part::Head), 3.0 * billions(&once, Part::Head), 1e-12);
    }

    #[test]
    fn the_decoder_of_an_encoder_decoder_is_followed_through_its_attention() {
        let t5 = outline(
            json!({"model_type": "t5", "d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128,
            "num_layers": 2, "num_decoder_layers": 2, "vocab_size": 100, "feed_forward_proj": "gated-gelu"}),
        );
        let batch = Batch { rows: 2, tokens: 10, decoder_tokens: 5, targets: 10 };
        let of = |method: &Method, part| billions(&Step { batch, ..step(&t5, method, 10) }, part);
        let prompt = prompt(&t5, 6);
        let (h2, hf) = ((64 * 64) as f64, (64 * 128) as f64);
        let (encoded, decoded) = (2.0 * 16.0, 2.0 * 5.0);
        let encoder = encoded * 2.0 * (4.0 * h2 + 3.0 * hf);
        let decoder = 2.0 * (decoded * (6.0 * h2 + 3.0 * hf) + encoded * 2.0 * h2);
        assert_near(of(&prompt, Part::Forward), 2.0 * (encoder + decoder) / 1e9, 1e-12);
        // The prompt enters the decoder by the first layer's attention to the encoder: what is before it, and its queries,
        // have no gradient.
        let untouched = decoded * (4.0 * h2 + h2);
        assert_near(
            of(&prompt, Part::Backward),
            2.0 * (encoder + decoder - untouched) / 1e9,
            1e-12,
        );
        // A prefix of the decoder alone leaves the encoder as it is.
        let placing = Placing::KeyValues(vec![(Site::DecoderSelf, vec![0, 1])]);
        let prefix = Method { virtual_tokens: 3, placing, network: 0, trained: 0 };
        assert!(of(&prefix, Part::Frozen) > 2.0 * 20.0 * 2.0 * (4.0 * h2 + 3.0 * hf) / 1e9);
        assert_near(
            of(&prefix, Part::Backward),
            2.0 * decoded * (2.0 * (6.0 * h2 + 3.0 * hf) - 3.0 * h2) / 1e9,
            1e-12,
        );
        // Keys and values of that encoder have no gradient. Of general operations: forward 2 products each, backward of
        // the first layer's own attention 3, of the second's 4, of the two attentions to the encoder 2.
        let own = Step { batch, executor: Executor::General, ..step(&t5, &prefix, 10) };
        let attention =
            2.0 * (2 * 64) as f64 * (5 * (8 * (2 + 3 + 2 + 4) + 10 * 2 * (2 + 2))) as f64;
        assert_near(billions(&own, Part::Attention), attention / 1e9, 1e-12);
    }

    #[test]
    fn keys_that_no_query_sees_are_skipped_on_the_cpu() {
        let config = |model_type: &str| {
            outline(json!({"model_type": model_type, "hidden_size": 64, "intermediate_size": 64,
                "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
                "vocab_size": 100, "max_position_embeddings": 1024, "sliding_window": 64}))
        };
        let (llama, mistral) = (config("llama"), config("mistral"));
        let batch = Batch { rows: 1, tokens: 256, decoder_tokens: 0, targets: 255 };
        let of = |outline: &Outline, executor| {
            let method = ptv2(outline, 0, &[]);
            let own = Step { batch, executor, ..step(outline, &method, 255) };
            // Nothing is trained: the forward pass.
            let layers = 2.0 * 256.0 * (2 * 64 * 64 + 64 * 64 + 3 * 64 * 64) as f64;
            (1e9 * billions(&own, Part::Frozen) - layers) / (2.0 * 2.0 * 64.0)
        };
        // 64 queries with 64, 128, 192 and 256 keys.
        assert_near(of(&llama, KERNELS), 64.0 * (64 + 128 + 192 + 256) as f64, 1e-9);
        // A window: the last 63 keys before a block, and its own.
        assert_near(of(&mistral, KERNELS), 64.0 * (64 + 3 * 127) as f64, 1e-9);
        assert_near(of(&mistral, Executor::General), 256.0 * 256.0, 1e-9);
    }
}
