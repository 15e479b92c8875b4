//! The settings of a run.

use serde::{Deserialize, Serialize};

use super::best_metric::BestMetric;
use crate::{
    contract::{batch::PaddingSide, pooling::Pooling, problem_type::ProblemType, task::Task},
    data::{DEFAULT_BATCH_SIZE, Labels, MAX_BATCH_SIZE, Order, Sampler},
    error::{Error, Result},
    evaluate::{check_threshold, predictor::DEFAULT_MAX_ANSWER_LENGTH},
    optim::{OptimizerConfig, Schedule},
};

/// The length, the batches, the optimizer and the evaluations of a run. Optional settings are off by
/// default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// The task.
    pub task: Task,
    /// What the outputs of a classifier of rows mean. Default one class.
    // Left out where it says nothing, so that checkpoints from before it can be resumed.
    #[serde(skip_serializing_if = "is_single_label")]
    pub problem_type: ProblemType,
    /// The number of updates. Either this or `epochs` is required.
    pub steps: Option<usize>,
    /// The number of times that every row is visited.
    pub epochs: Option<usize>,
    /// Rows per batch. Default [`DEFAULT_BATCH_SIZE`].
    pub batch_size: usize,
    /// Maximum number of tokens per batch, padding to its longest row included, instead of a number of rows. What a GPU's
    /// batches are [padded to](crate::contract::length_multiple) beyond that does not count. Default none.
    pub batch_tokens: Option<usize>,
    /// Whether several rows are laid one after another into a packed row: they do not see each other,
    /// and share the virtual tokens. A batch then has `batch_size` packed rows. For
    /// [`Task::CausalLm`]; scores of validation rows do without. Default false.
    // This and the next are left out where they say nothing, so that checkpoints from before them can
    // be resumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub packing: bool,
    /// Maximum number of tokens of a packed row; a longer row is alone. Default that of the longest row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_length: Option<usize>,
    /// Batches whose gradients are accumulated for one update. Default 1.
    pub accumulation: usize,
    /// The optimizer. Default AdamW without weight decay.
    pub optimizer: OptimizerConfig,
    /// Peak learning rate. Default 1e-3.
    pub lr: f64,
    /// Peak learning rate of the head, if it differs from that of the method. Default none: it does not.
    // Left out where it says nothing, so that checkpoints from before it can be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_lr: Option<f64>,
    /// How the learning rate changes after the warm-up. Default linear.
    pub schedule: Schedule,
    /// Steps during which the learning rate rises from 0. Default 0.
    pub warmup_steps: usize,
    /// Norm to which all gradients together are clipped. Default none.
    pub clip_norm: Option<f64>,
    /// How much each class counts in the loss, for tasks whose rows or tokens have one class: as torch's
    /// `CrossEntropyLoss(weight)`, whose mean is weighted too. Default none: all count 1.
    // These two are left out where they say nothing, so that checkpoints from before them can be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Vec<f32>>,
    /// What part of a target is spread over all classes or tokens, ε: as torch's
    /// `CrossEntropyLoss(label_smoothing)`. Scores of validation rows do without. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Seed of shuffling and dropout. Default 0.
    pub seed: u64,
    /// Steps between evaluations on the validation rows; the last step is always evaluated.
    pub eval_every: Option<usize>,
    /// Steps between checkpoints; if not given, one is written only when a run is interrupted.
    pub checkpoint_every: Option<usize>,
    /// The number of checkpoints to keep; the newest are kept. Default 2.
    pub keep_checkpoints: usize,
    /// The score that determines the best step. Default: [`BestMetric::of_task`].
    pub best_metric: Option<BestMetric>,
    /// The number of consecutive evaluations without improvement after which training ends.
    /// Default: never.
    pub patience: Option<usize>,
    /// Whether rows are shuffled in every epoch, instead of keeping the file's order. Default true.
    pub shuffle: bool,
    /// Whether shuffled rows are batched with rows of similar length. Default true.
    pub bucket: bool,
    /// The side of the padding. Default right.
    #[serde(with = "PaddingName")]
    pub padding: PaddingSide,
    /// The position that an encoder's classifier reads. Default the first, as in PEFT.
    pub pooling: Pooling,
    /// Maximum number of tokens of an answer, when validation questions are answered. Default
    /// [`DEFAULT_MAX_ANSWER_LENGTH`].
    pub max_answer_length: usize,
    /// By how much no answer has to score above the best one, when validation questions that may have
    /// none are answered. Default none: every question has an answer, unless validation rows say
    /// otherwise.
    // Left out where it says nothing, so that checkpoints from before it can be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_score_diff_threshold: Option<f64>,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_single_label(problem_type: &ProblemType) -> bool {
    *problem_type == ProblemType::SingleLabel
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PaddingSide", rename_all = "lowercase")]
enum PaddingName {
    Left,
    Right,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            task: Task::CausalLm,
            problem_type: ProblemType::default(),
            steps: None,
            epochs: None,
            batch_size: DEFAULT_BATCH_SIZE,
            batch_tokens: None,
            packing: false,
            packed_length: None,
            accumulation: 1,
            optimizer: OptimizerConfig::default(),
            lr: 1e-3,
            head_lr: None,
            schedule: Schedule::Linear,
            warmup_steps: 0,
            clip_norm: None,
            class_weights: None,
            label_smoothing: 0.0,
            seed: 0,
            eval_every: None,
            checkpoint_every: None,
            keep_checkpoints: 2,
            best_metric: None,
            patience: None,
            shuffle: true,
            bucket: true,
            padding: PaddingSide::Right,
            pooling: Pooling::First,
            max_answer_length: DEFAULT_MAX_ANSWER_LENGTH,
            null_score_diff_threshold: None,
        }
    }
}

impl TrainConfig {
    /// The number of epochs that a program may choose where neither `steps` nor `epochs` is given;
    /// [`Default`] leaves both open.
    pub const DEFAULT_EPOCHS: usize = 3;

    /// Returns the defaults for a task.
    pub fn new(task: Task) -> Self {
        Self { task, ..Self::default() }
    }

    /// The score that determines the best step.
    pub fn best_metric(&self, labels: Option<&Labels>) -> BestMetric {
        self.best_metric
            .clone()
            .unwrap_or_else(|| BestMetric::of_task(self.task, self.problem_type, labels))
    }

    /// The number of updates of the run, for a number of batches per epoch.
    pub fn total_steps(&self, batches_per_epoch: usize) -> usize {
        match (self.steps, self.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => {
                let batches = epochs.unwrap_or(0).saturating_mul(batches_per_epoch);
                batches.div_ceil(self.accumulation.max(1))
            }
        }
    }

    /// Returns the batches of rows of the given lengths, in tokens.
    ///
    /// # Errors
    ///
    /// As for [`Sampler::new`], [`Sampler::with_token_budget`] and [`Sampler::with_packing`].
    pub fn sampler(&self, lengths: Vec<usize>) -> Result<Sampler> {
        let order = if self.shuffle { Order::Shuffled } else { Order::Sequential };
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let sampler = Sampler::new(lengths, self.batch_size, self.seed, order, self.bucket)?;
        match self.batch_tokens {
            Some(tokens) => sampler.with_token_budget(tokens),
            None if self.packing => sampler.with_packing(self.packed_length.unwrap_or(longest)),
            None => Ok(sampler),
        }
    }

    /// The learning rate of a step, counted from 0, out of `total`, for a number of batches per epoch.
    pub fn lr_at(&self, step: usize, total: usize, batches_per_epoch: usize) -> f64 {
        let batches = step.saturating_mul(self.accumulation);
        let epochs = batches.checked_div(batches_per_epoch).unwrap_or(0);
        self.schedule.lr(self.lr, step, epochs, self.warmup_steps, total)
    }

    /// Whether a row or a token has one class.
    fn has_classes(&self) -> bool {
        self.task == Task::TokenCls
            || (self.task == Task::SeqCls && !self.problem_type.has_values())
    }

    fn check_weights(&self) -> Result<()> {
        let kind = match self.problem_type.has_values() {
            true => self.problem_type.to_string(),
            false => self.task.to_string(),
        };
        if let Some(weights) = &self.class_weights {
            if !self.has_classes() {
                let message = format!("not used by {kind}, whose rows have no single class");
                return Err(Error::setting("class_weights", message));
            }
            if let Some(weight) = weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
                let message = format!("found {weight}, expected numbers of at least 0");
                return Err(Error::setting("class_weights", message));
            }
            if weights.iter().all(|weight| *weight == 0.0) {
                let message = "all are 0: nothing would be learnt";
                return Err(Error::setting("class_weights", message));
            }
        }
        let smoothing = self.label_smoothing;
        if !(0.0..1.0).contains(&smoothing) {
            let message = format!("found {smoothing}, expected a number from 0 to below 1");
            return Err(Error::setting("label_smoothing", message));
        }
        if smoothing > 0.0 && !self.has_classes() && !self.task.is_language_model() {
            let message = format!("not used by {kind}, which chooses among no classes");
            return Err(Error::setting("label_smoothing", message));
        }
        Ok(())
    }

    fn check_packing(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::setting("packing", message));
        if !self.packing {
            return match self.packed_length {
                Some(_) => Err(Error::setting("packed_length", "needs `packing`")),
                None => Ok(()),
            };
        }
        if self.task != Task::CausalLm {
            let task = Task::CausalLm;
            return refuse(format!("not used by {}, it is a setting of {task}", self.task));
        }
        if self.batch_tokens.is_some() {
            return refuse(
                "its batches have `batch_size` packed rows: leave out it or `batch_tokens`".into(),
            );
        }
        match self.shuffle {
            true => Ok(()),
            false => refuse(
                "only shuffled rows are packed, not rows in the file's order: leave out one of them".into(),
            ),
        }
    }

    /// Checks each setting and their combination.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the setting, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        match (self.steps, self.epochs) {
            (None, None) => return Err(Error::setting("steps", "give it, or `epochs`")),
            (Some(_), Some(_)) => {
                return Err(Error::setting("steps", "give either it or `epochs`, not both"));
            }
            _ => {}
        }
        for (setting, value) in [
            ("steps", self.steps),
            ("epochs", self.epochs),
            ("batch_size", Some(self.batch_size)),
            ("batch_tokens", self.batch_tokens),
            ("packed_length", self.packed_length),
            ("accumulation", Some(self.accumulation)),
            ("eval_every", self.eval_every),
            ("checkpoint_every", self.checkpoint_every),
            ("keep_checkpoints", Some(self.keep_checkpoints)),
            ("patience", self.patience),
            ("max_answer_length", Some(self.max_answer_length)),
        ] {
            if value == Some(0) {
                return Err(Error::setting(setting, "found 0, expected at least 1"));
            }
        }
        for (setting, value) in
            [("batch_size", self.batch_size), ("accumulation", self.accumulation)]
        {
            if value > MAX_BATCH_SIZE {
                let message = format!("found {value}, expected at most {MAX_BATCH_SIZE}");
                return Err(Error::setting(setting, message));
            }
        }
        for (setting, value) in
            [("lr", Some(self.lr)), ("head_lr", self.head_lr), ("clip_norm", self.clip_norm)]
        {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                let message = format!("found {value}, expected a number above 0");
                return Err(Error::setting(setting, message));
            }
        }
        if self.head_lr.is_some() && !self.task.has_head() {
            let message = format!("not used by {}, which has no head", self.task);
            return Err(Error::setting("head_lr", message));
        }
        check_threshold(self.null_score_diff_threshold)?;
        self.check_weights()?;
        self.check_packing()?;
        if self.batch_tokens.is_some() && !self.shuffle {
            let message = "rows in the file's order have a `batch_size`";
            return Err(Error::setting("batch_tokens", message));
        }
        if let Some(steps) = self.steps.filter(|steps| self.warmup_steps >= *steps) {
            let message = format!(
                "found {}, expected fewer than the {steps} steps of the run",
                self.warmup_steps
            );
            return Err(Error::setting("warmup_steps", message));
        }
        self.optimizer.validate()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config() -> TrainConfig {
        TrainConfig { steps: Some(10), ..TrainConfig::new(Task::SeqCls) }
    }

    #[test]
    fn each_unusable_setting_is_named() {
        type Change = fn(&mut TrainConfig);
        let cases: [(&str, Change); 24] = [
            ("steps", |c| c.steps = None),
            ("steps", |c| c.epochs = Some(1)),
            ("steps", |c| c.steps = Some(0)),
            ("batch_size", |c| c.batch_size = 0),
            ("batch_tokens", |c| c.batch_tokens = Some(0)),
            ("batch_tokens", |c| (c.batch_tokens, c.shuffle) = (Some(64), false)),
            ("packing", |c| c.packing = true),
            ("packing", |c| (c.task, c.packing, c.shuffle) = (Task::CausalLm, true, false)),
            ("packing", |c| {
                (c.task, c.packing, c.batch_tokens) = (Task::CausalLm, true, Some(64));
            }),
            ("packed_length", |c| c.packed_length = Some(64)),
            ("packed_length", |c| c.packed_length = Some(0)),
            ("accumulation", |c| c.accumulation = 0),
            ("batch_size", |c| c.batch_size = usize::MAX),
            ("accumulation", |c| c.accumulation = usize::MAX),
            ("lr", |c| c.lr = f64::NAN),
            ("lr", |c| c.lr = 0.0),
            ("head_lr", |c| c.head_lr = Some(0.0)),
            ("head_lr", |c| (c.task, c.head_lr) = (Task::CausalLm, Some(0.1))),
            ("clip_norm", |c| c.clip_norm = Some(-1.0)),
            ("eval_every", |c| c.eval_every = Some(0)),
            ("patience", |c| c.patience = Some(0)),
            ("warmup_steps", |c| c.warmup_steps = 10),
            ("null_score_diff_threshold", |c| c.null_score_diff_threshold = Some(f64::NAN)),
            ("weight_decay", |c| c.optimizer = c.optimizer.with_weight_decay(f64::INFINITY)),
        ];
        config().validate().unwrap();
        for (setting, change) in cases {
            let mut config = config();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(setting), "{setting}: {error}");
        }
    }

    #[test]
    fn epochs_become_steps() {
        let epochs = |epochs, accumulation| {
            let config = TrainConfig { epochs: Some(epochs), accumulation, ..Default::default() };
            config.total_steps(10)
        };
        assert_eq!((epochs(3, 1), epochs(3, 4), epochs(1, 100)), (30, 8, 1));
        assert_eq!(config().total_steps(3), 10);
    }

    #[test]
    fn the_rate_falls_after_each_epoch() {
        let of = |accumulation: usize, step| {
            let schedule = Schedule::Exponential;
            let config = TrainConfig { schedule, accumulation, lr: 1.0, ..config() };
            config.lr_at(step, 10, 4)
        };
        assert_eq!((of(1, 3), of(1, 4), of(1, 7)), (1.0, 0.95, 0.95));
        assert_eq!((of(2, 1), of(2, 2)), (1.0, 0.95));
        assert_eq!(config().lr_at(5, 10, 0), 0.5e-3);
    }

    #[test]
    fn a_config_comes_back_from_json() {
        let mut full = config();
        full.best_metric = Some(BestMetric::named("loss"));
        full.padding = PaddingSide::Left;
        let json = serde_json::to_value(&full).unwrap();
        assert_eq!((&json["padding"], &json["task"]), (&"left".into(), &"seq-cls".into()));
        assert_eq!(serde_json::from_value::<TrainConfig>(json).unwrap(), full);
        assert_eq!(serde_json::from_str::<TrainConfig>("{}").unwrap(), TrainConfig::default());
        assert!(serde_json::from_str::<TrainConfig>("{\"batchsize\": 1}").is_err());
    }
}
