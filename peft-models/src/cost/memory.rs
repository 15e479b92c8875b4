//! The memory of a step, part by part, beside the frozen weights.
//!
//! | part | what it is |
//! |---|---|
//! | parameters, gradients, moments, copies | of what is trained: itself, its gradient, that of a head and of virtual tokens that nothing makes in each further slice of a batch, what the optimizer remembers, the best step and a copy meanwhile |
//! | made virtual tokens | those that an MLP or LSTM makes, or keys and values of a decoder's prompt, and their gradients in each slice |
//! | kept | what a step keeps for its gradients: `kept` numbers for each layer and token of the batch; with `recompute` the hidden states of each layer, and `kept` of one; a decoder's prompt, which is computed before the rows, once for all, is not computed again |
//! | computed | the feed-forward layer of one layer with its gradients, or the logits that are computed at once |
//! | evaluated | by how much the logits of an evaluation, three times, are more than all that |
//! | between | what lies between tensors, and small ones: a fifth of these three |
//! | upcast | of weights in fewer bits what each thread has upcast; with general operations the widest matrix in f32, twice, as it may be put together of parts |
//! | rounded | of products in 16 bits the largest left side; with kernels copies of the matrices, one for each direction, else the result beside it, before it is cast to f32 |
//!
//! `kept`, as the CPU kernels keep it, is `2 H + (N + 2 K) D + F` numbers a token, with a gated feed-forward layer
//! `2 H + (N + 2 K) D + 2 F`: the inputs of both norms, queries, keys and values, and the input of the activation. Burn's
//! general operations keep more: `2 H` of normalised inputs, the activation's steps (`2 F`), and `2 N (P + T)` scores.
//!
//! docs/PERFORMANCE.md compares the sum with what runs took on the CPU. That of general operations was compared with nothing.

use peft_core::{Side, Site, SiteSpec, Topology};

use super::step::{Batch, Executor};
use crate::{compute::Compute, families::Outline};

/// Bytes of a number.
const F32: u64 = 4;
const TWO_BYTES: u64 = 2;
/// Numbers for each trained parameter beside its gradients and the moments: its value, the best step, and a copy meanwhile.
const COPIES: u64 = 2;
/// The most logits that an evaluation computes at once, and how often it has them in memory.
const EVALUATED: u64 = 1 << 24;
const EVALUATED_COPIES: u64 = 3;
/// How often general operations have logits in memory: themselves, their exponentials, their gradients.
const GENERAL_COPIES: u64 = 3;
/// Numbers of a matrix that a thread upcasts at most, and in how many sizes it has them in memory.
const UPCAST: u64 = 1 << 20;
const UPCAST_SIZES: u64 = 2;
/// How often general operations have the matrix that they upcast: itself, and its parts.
const GENERAL_UPCAST: u64 = 2;
/// A step takes one part more in so many: what lies between tensors, and small ones.
const PIECES: u64 = 5;

/// What decides how much memory a step takes.
#[derive(Clone, Copy, Debug)]
pub struct StepSize<'a> {
    /// The model.
    pub outline: &'a Outline,
    /// Its parameters.
    pub parameters: usize,
    /// Whether logits over the vocabulary are computed.
    pub is_language_model: bool,
    /// The largest batch to train on.
    pub batch: Batch,
    /// The largest batch to evaluate; empty if nothing is evaluated.
    pub evaluated: Batch,
    /// The virtual tokens that pass through the layers with the rows, or before them: those of a prompt.
    pub prompt: usize,
    /// The first layer that something trained reaches; `None` if there is none, as for a head alone.
    pub first_layer: Option<usize>,
    /// P, wherever virtual tokens enter: positions have scores with them.
    pub virtual_tokens: usize,
    /// The parameters that are trained.
    pub trained: usize,
    /// Those of them that each slice of a batch has gradients of: of a head, and of virtual tokens that nothing makes.
    pub in_slices: usize,
    /// Numbers that the optimizer remembers for each of them.
    pub moments: usize,
    /// Numbers of the virtual tokens that are made once a step: by an MLP or LSTM, or keys and values of a decoder's prompt.
    pub made: usize,
    /// Whether layers are computed again in the backward pass.
    pub recompute: bool,
    /// Whether frozen matrices have fewer bits in memory than f32, and are upcast for products.
    pub narrow: bool,
    /// In which type products with frozen matrices are.
    pub compute: Compute,
    /// What computes.
    pub executor: Executor,
    /// How many batches the step has.
    pub batches: usize,
    /// How many replicas on these threads share the step; 1 if it is one model.
    pub replicas: usize,
}

/// The memory of a step, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepMemory {
    /// What is trained.
    pub parameters: u64,
    /// Its gradients, as far as each slice has them.
    pub gradients: u64,
    /// What the optimizer remembers.
    pub moments: u64,
    /// The best step, and a copy meanwhile.
    pub copies: u64,
    /// Virtual tokens that are made of what is trained, with their gradients.
    pub made: u64,
    /// What is kept for the backward pass.
    pub kept: u64,
    /// Logits with their hidden states, if they are more than what else is computed.
    pub logits: u64,
    /// What layers compute with, if it is more than the logits.
    pub computed: u64,
    /// What an evaluation has more than a step.
    pub evaluated: u64,
    /// What lies between tensors.
    pub between: u64,
    /// Weights that threads have upcast.
    pub upcast: u64,
    /// Matrices and inputs that are rounded for products.
    pub rounded: u64,
}

impl StepMemory {
    /// The parts by name, those that are there.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let parts = [
            ("trained parameters", self.parameters),
            ("gradients", self.gradients),
            ("optimizer", self.moments),
            ("best step and a copy", self.copies),
            ("made virtual tokens", self.made),
            ("kept for the backward pass", self.kept),
            ("logits", self.logits),
            ("computed meanwhile", self.computed),
            ("more in an evaluation", self.evaluated),
            ("between tensors", self.between),
            ("upcast weights", self.upcast),
            ("copies in 16 bits", self.rounded),
        ];
        parts.into_iter().filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.parts().iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

impl StepSize<'_> {
    /// What the step adds to the weights.
    pub fn memory(&self) -> StepMemory {
        let (train, evaluated) = (self.batch, self.evaluated);
        let vocabulary = self.vocabulary();
        // Some slices of a batch are computed at a time, each with logits of its own, and each leaves gradients of the virtual
        // tokens and the head. What makes the virtual tokens runs backward once, for their sum.
        let of_batch = self.slices(train);
        let slices = self.slices_of_round(of_batch);
        let workers = self.executor.workers().min(slices);
        let of_slices = |numbers: u64| numbers * workers / of_batch;
        let times = if self.is_general() { GENERAL_COPIES } else { 1 };
        // Each of the slices that are computed at a time has logits of its own.
        let most =
            train.targets.saturating_mul(workers).div_ceil(of_batch).saturating_mul(vocabulary);
        let at_once = self.logits(train).saturating_mul(workers).min(most) * times;
        let of_loss = at_once + of_slices(2 * train.targets * self.hidden());
        let of_scores = EVALUATED.min(evaluated.targets * vocabulary) * EVALUATED_COPIES;
        // A decoder's prompt is computed once, for all of them.
        let prompt = self.kept(Batch::default());
        let kept = prompt + of_slices(self.kept(train) - prompt);
        let (logits, computed) = match (of_loss, of_slices(self.computed(train))) {
            (logits, computed) if logits > computed => (logits, 0),
            (_, computed) => (0, computed),
        };
        let step = kept + logits + computed;
        let more = of_scores.max(self.computed(evaluated)).saturating_sub(step);
        let bytes = |numbers: u64| F32 * numbers;
        let trained = F32 * self.trained as u64;
        StepMemory {
            parameters: trained,
            gradients: trained + F32 * self.in_slices as u64 * (slices - 1),
            moments: trained * self.moments as u64,
            copies: trained * COPIES,
            made: bytes(self.made as u64) * (1 + slices),
            kept: bytes(kept),
            logits: bytes(logits),
            computed: bytes(computed),
            evaluated: bytes(more),
            between: bytes((step + more) / PIECES),
            upcast: F32 * self.upcast(),
            rounded: self.rounded(train),
        }
    }

    fn is_general(&self) -> bool {
        self.executor == Executor::General
    }

    /// How many slices a batch is divided into.
    fn slices(&self, batch: Batch) -> u64 {
        let is_in_front = self.outline.spec.topology != Topology::DecoderOnly;
        let in_front = if is_in_front { self.prompt as u64 } else { 0 };
        let positions = batch.rows * (batch.tokens + batch.decoder_tokens + in_front);
        self.executor.slices(positions, batch.rows)
    }

    /// How many slices are computed before their gradients are added: those of one batch, or for several replicas of so many
    /// batches that each has one.
    fn slices_of_round(&self, of_batch: u64) -> u64 {
        let batches = (self.replicas as u64).div_ceil(of_batch).min(self.batches as u64);
        of_batch * batches.max(1)
    }

    /// How many logits a slice of a batch has in memory at a time.
    fn logits(&self, batch: Batch) -> u64 {
        let rows = batch.targets.div_ceil(self.slices(batch));
        self.executor.logits(rows, self.vocabulary(), self.compute.is_rounded())
    }

    /// Numbers of weights in fewer bits that are upcast at a time: parts of a matrix on each thread, or one matrix.
    fn upcast(&self) -> u64 {
        if !self.narrow {
            return 0;
        }
        let inner = self.outline.widest() as u64;
        let of = |inner: u64| self.vocabulary().max(inner).max(3 * self.hidden()) * self.hidden();
        match self.is_general() {
            // Both halves of a gated layer are one matrix.
            true => GENERAL_UPCAST * of(if self.outline.gated { 2 * inner } else { inner }),
            false => UPCAST_SIZES * (self.executor.workers() * UPCAST).min(of(inner)),
        }
    }

    /// Bytes of matrices and of inputs that are rounded for products.
    fn rounded(&self, batch: Batch) -> u64 {
        if !self.compute.is_rounded() {
            return 0;
        }
        let spec = &self.outline.spec;
        let embedding = (spec.vocab_size * spec.hidden_size) as u64;
        // A language model multiplies with its embedding, or with as large a head.
        let matrices = match self.vocabulary() {
            0 => (self.parameters as u64).saturating_sub(embedding),
            _ => self.parameters as u64,
        };
        let directions = if self.first_layer.is_some() { 2 } else { 1 };
        let widest = |stack: Stack<'_>| stack.positions * self.inner(stack.side());
        let inputs = self.stacks(batch).map(widest).max().unwrap_or(0);
        let both_sides = inputs.max(self.logits(batch));
        match self.is_general() {
            true => TWO_BYTES * both_sides,
            false => TWO_BYTES * (directions * matrices + both_sides),
        }
    }

    /// The size of the vocabulary, if logits of it are computed.
    fn vocabulary(&self) -> u64 {
        if self.is_language_model { self.outline.spec.vocab_size as u64 } else { 0 }
    }

    /// Numbers that a step keeps for its gradients.
    fn kept(&self, batch: Batch) -> u64 {
        self.stacks(batch)
            .map(|stack| {
                let first = self.first_layer.unwrap_or(stack.site.num_layers);
                let layers = stack.site.num_layers.saturating_sub(first) as u64;
                if !self.recompute || layers == 0 {
                    return layers * self.kept_of_layer(stack);
                }
                // What is prefilled has a graph of its own, through which gradients go once, after all others.
                let (prompt, again) = stack.divided();
                layers * (self.kept_of_layer(prompt) + again.positions * self.hidden())
                    + self.kept_of_layer(again)
            })
            .sum()
    }

    /// Numbers that a layer computes with beside what it keeps.
    fn computed(&self, batch: Batch) -> u64 {
        let widest =
            |stack: Stack<'_>| stack.positions * (3 * self.inner(stack.side()) + 3 * self.hidden());
        self.stacks(batch).map(widest).max().unwrap_or(0)
    }

    /// Each stack of layers with its positions, and what its layers keep of an encoder's output.
    fn stacks(&self, batch: Batch) -> impl Iterator<Item = Stack<'_>> {
        let spec = &self.outline.spec;
        let prompt = self.prompt as u64;
        let encoded = batch.rows * (batch.tokens + prompt);
        let causal = batch.rows * batch.tokens + prompt;
        let prefilled = 0;
        let decoded = batch.rows * batch.decoder_tokens;
        let p = self.virtual_tokens as u64;
        let [tokens, decoder_tokens] = [batch.tokens, batch.decoder_tokens].map(|own| own + p);
        spec.sites.iter().filter_map(move |site| match (site.site, spec.topology) {
            (Site::EncoderSelf, _) => {
                Some(Stack { site, positions: encoded, prefilled, cross: 0, keys: tokens })
            }
            (Site::DecoderSelf, Topology::EncoderDecoder) => {
                let heads = (site.num_heads * site.head_dim) as u64;
                let cross = decoded * (heads + self.hidden()) + encoded * site.kv_width() as u64;
                let keys = tokens + decoder_tokens;
                Some(Stack { site, positions: decoded, prefilled, cross, keys })
            }
            (Site::DecoderSelf, _) => {
                Some(Stack { site, positions: causal, prefilled: prompt, cross: 0, keys: tokens })
            }
            (Site::Cross, _) => None,
        })
    }

    fn kept_of_layer(&self, stack: Stack<'_>) -> u64 {
        let Stack { site, positions, cross, keys, .. } = stack;
        let joined = (site.num_heads * site.head_dim + site.kv_width()) as u64;
        let inner = self.inner(stack.side());
        let gated = if self.outline.gated { 2 } else { 1 };
        let general = match self.is_general() {
            true => 2 * (self.hidden() + inner + site.num_heads as u64 * keys),
            false => 0,
        };
        positions * (2 * self.hidden() + joined + gated * inner + general) + cross
    }

    fn hidden(&self) -> u64 {
        self.outline.spec.hidden_size as u64
    }

    fn inner(&self, side: Side) -> u64 {
        self.outline.inner(side) as u64
    }
}

/// A stack of layers with the positions of a batch in it.
#[derive(Clone, Copy, Debug)]
struct Stack<'a> {
    /// Its self-attention.
    site: &'a SiteSpec,
    positions: u64,
    /// How many of them are those of a decoder's prompt.
    prefilled: u64,
    /// Numbers that a layer keeps of an encoder's output.
    cross: u64,
    /// Keys that a position has scores with.
    keys: u64,
}

impl Stack<'_> {
    /// A decoder's prompt, which sees nothing else, and the rows.
    fn divided(self) -> (Self, Self) {
        let Self { positions, prefilled, .. } = self;
        let prompt = Self { positions: prefilled, cross: 0, keys: prefilled, ..self };
        (prompt, Self { positions: positions - prefilled, prefilled: 0, ..self })
    }

    fn side(&self) -> Side {
        match self.site.site {
            Site::EncoderSelf => Side::Encoder,
            Site::DecoderSelf | Site::Cross => Side::Decoder,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::{config::ModelConfig, families::outline_of};

    const H: u64 = 16;
    const F: u64 = 24;

    fn outline(mut fields: Value) -> Outline {
        for (key, value) in
            [("vocab_size", 40), ("num_hidden_layers", 3), ("num_attention_heads", 2)]
        {
            fields[key] = json!(value);
        }
        (fields["hidden_size"], fields["intermediate_size"]) = (json!(H), json!(F));
        (fields["max_position_embeddings"], fields["type_vocab_size"]) = (json!(64), json!(2));
        outline_of(&ModelConfig::from_value(fields, Path::new("config.json")).unwrap()).unwrap()
    }

    fn step(outline: &Outline, batch: Batch) -> StepSize<'_> {
        StepSize {
            outline,
            parameters: outline.parameters.total(),
            is_language_model: outline.spec.is_causal(),
            batch,
            evaluated: Batch::default(),
            prompt: 5,
            virtual_tokens: 5,
            first_layer: Some(0),
            trained: 7,
            in_slices: 7,
            moments: 2,
            made: 0,
            recompute: false,
            narrow: false,
            compute: Compute::F32,
            executor: Executor::Kernels { threads: 2 },
            batches: 1,
            replicas: 1,
        }
    }

    #[test]
    fn each_layer_keeps_what_its_gradients_need() {
        let llama = json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"],
            "num_key_value_heads": 1, "tie_word_embeddings": true});
        let llama = outline(llama);
        let batch = Batch { rows: 2, tokens: 9, decoder_tokens: 0, targets: 18 };
        let own = step(&llama, batch);
        // A causal prompt passes through the layers once; keys and values are of 1 head of 2, of size 8.
        let of_layer = (2 * 9 + 5) * (2 * H + (2 + 2) * 8 + 2 * F);
        assert_eq!(own.kept(batch), 3 * of_layer);
        assert_eq!(StepSize { first_layer: Some(2), ..own }.kept(batch), of_layer);
        assert_eq!(StepSize { first_layer: None, ..own }.kept(batch), 0);
        let less = StepSize { recompute: true, ..own };
        // The rows are computed again, layer by layer; the prompt, which was computed before them, is not.
        let of_token = of_layer / (2 * 9 + 5);
        assert_eq!(less.kept(batch), 3 * (5 * of_token + 2 * 9 * H) + 2 * 9 * of_token);
        let prefix = StepSize { prompt: 0, ..less };
        assert_eq!(prefix.kept(batch), 3 * 2 * 9 * H + 2 * 9 * of_token);
        let total = own.memory().total();
        assert!(less.memory().total() < total && total > F32 * 3 * of_layer);
        let general = StepSize { executor: Executor::General, ..own };
        assert!(general.memory().kept > own.memory().kept);
        // Those of keys and values, too, are keys that general operations keep scores with.
        let placed = StepSize { prompt: 0, ..general };
        let without = StepSize { virtual_tokens: 0, ..placed };
        assert_eq!(placed.kept(batch) - without.kept(batch), 3 * (2 * 9) * 2 * 2 * 5);
        // What is kept stays in f32; of products in 16 bits, one factor and the result are there beside it.
        let reduced = StepSize { compute: Compute::F16, ..general };
        assert_eq!(reduced.memory().kept, general.memory().kept);
        // The logits are larger than what a layer multiplies.
        assert_eq!((general.memory().rounded, reduced.memory().rounded), (0, 2 * 18 * 40));
    }

    #[test]
    fn a_prompt_stands_in_front_of_each_row_of_an_encoder() {
        let bert = outline(json!({"model_type": "bert", "architectures": ["BertModel"]}));
        let batch = Batch { rows: 2, tokens: 9, decoder_tokens: 0, targets: 18 };
        let own = step(&bert, batch);
        let of_layer = 2 * (9 + 5) * (2 * H + 3 * H + F);
        assert_eq!(own.kept(batch), 3 * of_layer);
        // Only what has fewer bits than f32 is upcast.
        let narrow = StepSize { narrow: true, ..own };
        assert_eq!((own.upcast(), narrow.upcast()), (0, 2 * 3 * H * H));
        let executor = Executor::General;
        let [own, narrow] = [own, narrow].map(|one| StepSize { executor, ..one }.upcast());
        assert_eq!((own, narrow), (0, 2 * 3 * H * H));
    }

    #[test]
    fn parts_are_those_of_a_step_and_add_up() {
        let gpt2 = json!({"model_type": "gpt2", "n_embd": 768, "vocab_size": 50257,
            "n_positions": 1024, "n_layer": 12, "n_head": 12});
        let gpt2 = ModelConfig::from_value(gpt2, Path::new("config.json")).unwrap();
        let gpt2 = outline_of(&gpt2).unwrap();
        let batch = Batch { rows: 8, tokens: 64, decoder_tokens: 0, targets: 504 };
        let trained = 16 * 12 * 2 * 768;
        let in_slices = trained;
        let own = StepSize { prompt: 0, trained, in_slices, ..step(&gpt2, batch) };
        let memory = own.memory();
        // 512 positions are two slices.
        assert_eq!(memory.gradients, 2 * memory.parameters);
        assert_eq!(memory.moments, 2 * memory.parameters);
        assert_eq!(memory.kept, F32 * 512 * 12 * (2 * 768 + 3 * 768 + 3072));
        // Logits are in memory a few outputs at a time, less than a layer computes with.
        assert_eq!((memory.logits, memory.computed), (0, F32 * 512 * 3 * (768 + 3072)));
        assert_eq!(own.logits(batch), 252 * 1056);
        // With a copy in bf16, of 252 rows of a slice 84 have all of theirs, in each of two.
        let rounded = StepSize { compute: Compute::Bf16, ..own }.memory();
        assert_eq!(rounded.logits, F32 * (2 * 84 * 50257 + 2 * 504 * 768));
        let sum: u64 = memory.parts().iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(memory.total(), sum);
        // An MLP has one gradient; the virtual tokens that it makes, and a head of 9 numbers, have one in each slice.
        let network = trained + 1000;
        let made = StepSize { trained: network + 9, in_slices: 9, made: trained, ..own }.memory();
        assert_eq!(made.gradients, F32 * (network + 9 + 9) as u64);
        assert_eq!(made.made, 3 * memory.parameters);
        // Half of it at a time on one thread.
        let one = StepSize { executor: Executor::Kernels { threads: 1 }, ..own };
        assert_eq!(2 * one.memory().kept, memory.kept);
        let one = StepSize { compute: Compute::Bf16, ..one }.memory();
        assert_eq!(one.logits, F32 * (84 * 50257 + 504 * 768));
        assert_eq!(2 * one.logits, rounded.logits);
        // Slices of two batches on four threads have twice the logits of those of one on two.
        let (compute, executor) = (Compute::Bf16, Executor::Kernels { threads: 4 });
        let rounds = StepSize { compute, executor, replicas: 4, batches: 2, ..own }.memory();
        assert_eq!((rounds.logits, rounds.kept), (2 * rounded.logits, 2 * rounded.kept));
    }

    /// Replicas compute slices of several batches together, if a step has so many, on as many threads as there are.
    #[test]
    fn replicas_keep_what_each_of_their_slices_needs() {
        let bert = outline(json!({"model_type": "bert", "architectures": ["BertModel"]}));
        let batch = Batch { rows: 2, tokens: 9, decoder_tokens: 0, targets: 2 };
        let own = StepSize { executor: Executor::Kernels { threads: 3 }, ..step(&bert, batch) };
        let one = own.memory();
        for (replicas, batches, round, at_once) in
            [(1, 8, 1, 1), (2, 1, 1, 1), (2, 8, 2, 2), (4, 2, 2, 2), (4, 8, 4, 3)]
        {
            let found = StepSize { replicas, batches, ..own }.memory();
            assert_eq!(found.kept, at_once * one.kept, "{replicas} {batches}");
            assert_eq!(found.gradients, round * one.gradients, "{replicas} {batches}");
        }
    }
}
