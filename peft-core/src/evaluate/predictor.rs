//! What an adapted model answers, and how good the answers are. No gradients are computed here.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};

use super::{
    assessment::Assessment,
    checks::{check_infix, check_sources, check_targets, check_task},
    frozen_states::FrozenStates,
    outputs::{answers, in_rows, logits},
    positions::Positions,
    rows::{ReadBatch, RowReader, RowsRead},
    vote::first_largest,
};
use crate::{
    contract::{
        batch::{PaddingSide, TokenBatch},
        frozen::FrozenModel,
        head::Head,
        pooling::Pooling,
        problem_type::ProblemType,
        readback::Readback,
        task::Task,
        virtual_tokens::VirtualTokens,
    },
    data::{Example, Labels},
    error::{Error, Result},
    metrics::Metrics,
};

/// Maximum number of tokens of an answer where none is given.
pub const DEFAULT_MAX_ANSWER_LENGTH: usize = 30;

/// A slice of a batch, positions of it, and what is answered at each of them.
type Answered<'s, 'b> = (&'s ReadBatch<'b>, Positions, Vec<Vec<f32>>);

/// A frozen model with virtual tokens, a head and a task: scores, classifies and tags examples.
///
/// # Examples
///
/// The scores of an adapter, and the likeliest class of each row:
///
/// ```
/// use burn::tensor::Device;
/// use peft_core::{Adapter, FrozenModel, Result, Task, data::Example, evaluate::Predictor};
///
/// fn use_it(model: &dyn FrozenModel, adapter: &Adapter, rows: &[Example]) -> Result<Vec<usize>> {
///     let (spec, device) = (model.spec(), Device::default());
///     let tokens = adapter.virtual_tokens(spec, &device)?;
///     let head = adapter.head(model.head_layout(Task::SeqCls), spec, &device)?;
///     let predictor = Predictor::new(model, &tokens, head.as_ref(), Task::SeqCls)?
///         .with_pooling(adapter.config.own.pooling);
///
///     let scores = predictor.evaluate(rows, None)?;
///     assert!(scores.get("accuracy").is_some());
///     let likeliest = |row: Vec<f32>| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
///     Ok(predictor.classify(rows)?.into_iter().filter_map(likeliest).collect())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Predictor<'a> {
    pub(super) model: &'a dyn FrozenModel,
    pub(super) virtual_tokens: VirtualTokens,
    pub(super) head: Option<Head>,
    pub(super) task: Task,
    pub(super) pooling: Pooling,
    pub(super) problem_type: ProblemType,
    reader: RowReader<'a>,
    pub(super) max_answer_length: usize,
    pub(super) null_score_diff_threshold: Option<f64>,
}

impl<'a> Predictor<'a> {
    /// Takes virtual tokens shared by all rows (R = 1) and prefills them once for the model; the
    /// head is the trained one, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task that the model cannot do; [`Error::Mismatch`] if a head is
    /// missing or the virtual tokens do not fit.
    pub fn new(
        model: &'a dyn FrozenModel,
        virtual_tokens: &VirtualTokens,
        head: Option<&Head>,
        task: Task,
    ) -> Result<Self> {
        check_task(model, head, task)?;
        check_infix(virtual_tokens, task)?;
        if virtual_tokens.rows() != 1 {
            return Err(Error::Mismatch(format!(
                "found virtual tokens for {} rows, expected virtual tokens shared by all rows",
                virtual_tokens.rows()
            )));
        }
        virtual_tokens.check(model.spec(), 1)?;
        let virtual_tokens = virtual_tokens.clone().without_autodiff().cast(model.spec().dtype);
        Ok(Self {
            virtual_tokens: model.prefill(&virtual_tokens)?,
            model,
            head: head.map(Module::valid),
            task,
            pooling: Pooling::First,
            problem_type: ProblemType::default(),
            reader: RowReader::new(model),
            max_answer_length: DEFAULT_MAX_ANSWER_LENGTH,
            null_score_diff_threshold: None,
        })
    }

    /// Sets the position that an encoder's classifier reads. Default the first.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Sets what the outputs of a classifier of rows mean. Default one class.
    #[must_use]
    pub fn with_problem_type(mut self, problem_type: ProblemType) -> Self {
        self.problem_type = problem_type;
        self
    }

    /// Sets the side of the padding. Default right.
    #[must_use]
    pub fn with_padding(mut self, padding: PaddingSide) -> Self {
        self.reader.padding = padding;
        self
    }

    /// Sets the number of rows per batch. Default [`DEFAULT_BATCH_SIZE`](crate::data::DEFAULT_BATCH_SIZE);
    /// the answers do not depend on it.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.reader.batch_size = batch_size;
        self
    }

    /// Sets what is known of the rows already.
    #[must_use]
    pub(crate) fn with_frozen_states(mut self, frozen: &'a FrozenStates) -> Self {
        self.reader.frozen = Some(frozen);
        self
    }

    /// Sets who is told how many rows have been read, and how many there are.
    #[must_use]
    pub fn with_watch(mut self, watch: RowsRead<'a>) -> Self {
        self.reader.watch = Some(watch);
        self
    }

    /// Sets the maximum number of tokens of an answer. Default [`DEFAULT_MAX_ANSWER_LENGTH`].
    #[must_use]
    pub fn with_max_answer_length(mut self, tokens: usize) -> Self {
        self.max_answer_length = tokens.max(1);
        self
    }

    /// Sets by how much no answer has to score above the best one, in logits, for a question to be
    /// taken to have none. Default `None`: every question has an answer, unless evaluated ones are
    /// known to have none, and then it is
    /// [`DEFAULT_NULL_SCORE_DIFF_THRESHOLD`](super::DEFAULT_NULL_SCORE_DIFF_THRESHOLD).
    #[must_use]
    pub fn with_null_score_diff_threshold(mut self, threshold: Option<f64>) -> Self {
        self.null_score_diff_threshold = threshold;
        self
    }

    /// The names of the scores that [`evaluate`](Self::evaluate) returns, in order.
    ///
    /// A tagger has entity scores only if its labels are entity tags. Where questions may have no
    /// answer, there are [`SQUAD_V2_SCORES`](crate::metrics::SQUAD_V2_SCORES) behind the loss
    /// instead.
    pub fn score_names(
        task: Task,
        problem_type: ProblemType,
        labels: Option<&Labels>,
    ) -> &'static [&'static str] {
        match task {
            Task::SeqCls if problem_type == ProblemType::MultiLabel => {
                &["loss", "f1_micro", "f1_macro"]
            }
            Task::SeqCls if problem_type == ProblemType::Regression => {
                &["loss", "pearson", "spearman", "mse"]
            }
            Task::CausalLm => &["loss", "perplexity"],
            Task::Seq2SeqLm => &["loss", "perplexity", "accuracy"],
            Task::SeqCls => &["loss", "accuracy", "f1_macro", "f1_micro", "matthews"],
            Task::TokenCls if labels.is_some_and(Labels::are_tags) => {
                &["loss", "accuracy", "precision", "recall", "f1"]
            }
            Task::TokenCls => &["loss", "accuracy"],
            Task::QuestionAns => &["loss", "exact_match", "f1"],
        }
    }

    /// Scores examples with targets, over all labelled tokens or rows alike (not as a mean of batch
    /// means). The loss is in nats; all scores but loss and perplexity are fractions.
    ///
    /// Precision, recall and F1 of a tagger count whole entities; they exist only if its `labels`
    /// are entity tags ([`Labels::are_tags`]). The accuracy of an encoder-decoder counts tokens,
    /// each predicted from the correct preceding ones. Exact match and F1 of answers are SQuAD's,
    /// over questions; in a row of token ids, the words of an answer are its ids. Where questions may
    /// have no answer, the scores are those of [`squad_v2_scores`](crate::metrics::squad_v2_scores).
    /// F1 of rows with several classes counts those with a probability above 0.5.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if nothing has a target, or a target is not among the classes;
    /// [`Error::TooLong`] if a row does not fit; [`Error::ScoreNotFinite`] if the model's scores are no numbers.
    pub fn evaluate(&self, examples: &[Example], labels: Option<&Labels>) -> Result<Metrics> {
        Ok(self.assess(examples, labels)?.metrics)
    }

    /// As [`evaluate`](Self::evaluate), with what the scores do not tell.
    ///
    /// # Errors
    ///
    /// As for [`evaluate`](Self::evaluate).
    pub fn assess(&self, examples: &[Example], labels: Option<&Labels>) -> Result<Assessment> {
        check_targets(self.task, self.problem_type, examples)?;
        check_sources(&self.virtual_tokens, examples)?;
        if self.problem_type.has_values() {
            return self.evaluate_values(examples);
        }
        if self.task == Task::QuestionAns {
            return self.evaluate_answers(examples);
        }
        self.evaluate_classes(examples, labels)
    }

    /// Returns the probability of each class for each example, in order; the numbers themselves of a
    /// regression.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a row does not fit, [`Error::Mismatch`] for a row without tokens,
    /// [`Error::ScoreNotFinite`] if the model's scores are no numbers.
    pub fn classify(&self, examples: &[Example]) -> Result<Vec<Vec<f32>>> {
        let mut answers = vec![Vec::new(); examples.len()];
        self.each_batch(examples, |slices| {
            for (slice, _, probabilities) in self.probabilities(slices, Positions::all_rows)? {
                for (row, found) in slice.indices.iter().zip(probabilities) {
                    answers[*row] = found;
                }
            }
            Ok(())
        })?;
        Ok(answers)
    }

    /// Returns the most likely class of each token of each example and its probability, in order,
    /// including special tokens and the later subword tokens of words, see
    /// [`Example::word_of_token`].
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a row does not fit, [`Error::ScoreNotFinite`] if the model's scores are no numbers.
    pub fn tag(&self, examples: &[Example]) -> Result<Vec<Vec<(usize, f32)>>> {
        let mut answers = vec![Vec::new(); examples.len()];
        self.each_batch(examples, |slices| {
            let all = self.probabilities(slices, Positions::all_tokens)?;
            for (slice, positions, probabilities) in all {
                for (row, found) in positions.rows().zip(probabilities) {
                    let class = first_largest(&found);
                    let answer = found.get(class).map(|found| (class, *found));
                    answers[slice.indices[row]].extend(answer);
                }
            }
            Ok(())
        })?;
        Ok(answers)
    }

    /// The logits of each example, in their order: of each real token, the decoder's on an encoder-decoder; of
    /// the whole row for sequence classification.
    ///
    /// # Shapes
    ///
    /// - output: `[T, V]` for a language model, `[T, C]` for tags, `[T, 2]` (start, end) for question
    ///   answering, `[C]` for sequence classification; f32
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where a row does not fit, [`Error::Mismatch`] for a row without tokens.
    pub fn logits(&self, examples: &[Example]) -> Result<Vec<TensorData>> {
        let mut answers = vec![None; examples.len()];
        let whole_rows = self.task == Task::SeqCls;
        self.each_batch(examples, |slices| {
            let (mut together, mut asked) = (Readback::default(), Vec::new());
            for slice in slices {
                let positions = match whole_rows {
                    true => Positions::all_rows(slice.batch),
                    false => Positions::all_tokens(slice.batch),
                };
                let states = self.states(&positions, slice)?;
                let logits = logits(self.model, self.head.as_ref(), self.task, states)?;
                asked.push((slice, positions, logits.dims()[1]));
                together.add(logits);
            }
            let mut found = together.read()?;
            for (slice, positions, width) in asked {
                let mut counts = vec![0; slice.indices.len()];
                positions.rows().for_each(|row| counts[row] += 1);
                let numbers = found.numbers::<f32>()?;
                let mut rest = numbers.as_slice();
                for (index, count) in slice.indices.iter().zip(counts) {
                    let (own, others) = rest.split_at(count * width);
                    rest = others;
                    answers[*index] = Some(match whole_rows {
                        true => TensorData::new(own.to_vec(), [width]),
                        false => TensorData::new(own.to_vec(), [count, width]),
                    });
                }
            }
            Ok(())
        })?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// What the head reads at some positions, `[M, H]`.
    pub(super) fn states(&self, positions: &Positions, read: &ReadBatch<'_>) -> Result<Tensor<2>> {
        positions.states(self.model, read.batch, read.hidden, self.pooling)
    }

    /// Softmax over the classes, for each of the `positions` of each slice of a batch.
    fn probabilities<'s, 'b>(
        &self,
        slices: &'s [ReadBatch<'b>],
        positions: impl Fn(&TokenBatch) -> Positions,
    ) -> Result<Vec<Answered<'s, 'b>>> {
        let (mut together, mut asked) = (Readback::default(), Vec::new());
        for slice in slices {
            let positions = positions(slice.batch);
            let states = self.states(&positions, slice)?;
            let logits = logits(self.model, self.head.as_ref(), self.task, states)?;
            asked.push((slice, positions, logits.dims()[1]));
            together.add(answers(self.problem_type, logits));
        }
        let mut found = together.read()?;
        let read = |(slice, positions, width): (&'s ReadBatch<'b>, Positions, usize)| {
            let answers = in_rows(found.numbers()?, width);
            let check = |(row, answer): (usize, &Vec<f32>)| slice.check_finite(row, answer);
            positions.rows().zip(&answers).try_for_each(check)?;
            Ok((slice, positions, answers))
        };
        asked.into_iter().map(read).collect()
    }

    /// Runs the model over all examples, see [`RowReader::read`].
    pub(super) fn each_batch(
        &self,
        examples: &[Example],
        visit: impl FnMut(&[ReadBatch<'_>]) -> Result<()>,
    ) -> Result<()> {
        let examples: Vec<&Example> = examples.iter().collect();
        let mut reader = self.reader;
        reader.pooling = (self.task == Task::SeqCls).then_some(self.pooling);
        reader.read(&examples, |_| Ok(self.virtual_tokens.clone()), visit)
    }
}
