//! The settings of a training run: their flags, with their help, and their types.

use std::path::PathBuf;

use peft_core::{
    PrefixPositions, ProblemType, Task,
    evaluate::DEFAULT_NULL_SCORE_DIFF_THRESHOLD,
    optim::AdamW,
    train::{Mixing, RunContext, TrainConfig},
};
use peft_models::{Compute, LoadOptions, WeightFormat};
use peft_prompt::EncoderConfig;

use super::{define::settings, tasks::Tasks};
use crate::{
    data_files::one_or_several,
    fields::FIELDS_HEADING,
    flags::{
        byte_size::ByteSize,
        choices::{MIXING, PADDING, POOLING, PREFIX_POSITIONS, parse_value},
        help::FlagHelp,
        method_name::MethodName,
        reparameterization::Reparameterization,
    },
    text_settings::default_doc_stride,
};

settings! {
    /// Start from the settings of a paper (peft recipes lists them); --config and flags take precedence.
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    recipe: String,
    /// Base model: a folder, a GGUF file, or org/name on the Hugging Face Hub.
    #[arg(long, value_name = "MODEL", help_heading = "What to train")]
    model: PathBuf,
    /// Method to train.
    #[arg(long, value_enum, help_heading = "What to train")]
    method: MethodName,
    /// Task.
    #[arg(long, help_heading = "What to train", value_parser = parse_value::<Task>,
        show_names = &Task::ALL.map(Task::name))]
    task: Task,
    /// Task in TOML: its templates, classes, and what its rows become; a file, or one that comes with the program (peft
    /// tasks lists them).
    #[arg(long, value_name = "NAME|FILE", help_heading = "What to train")]
    task_file: PathBuf,
    /// Folder with the files of --task-file, in place of --train and --valid.
    #[arg(long, value_name = "DIR", help_heading = "What to train")]
    data_dir: PathBuf,
    /// Training rows: JSON, JSON Lines, CSV, TSV, CoNLL (also .gz, .zst) or Parquet: a file, a folder or pattern of
    /// files, or -. Again for more of them.
    #[arg(long, value_name = "FILE", help_heading = "What to train")]
    #[serde(with = "one_or_several")]
    train: Vec<PathBuf>,
    /// Validation rows; the checkpoint that scores best on them is kept.
    #[arg(long, value_name = "FILE", help_heading = "What to train")]
    #[serde(with = "one_or_several")]
    valid: Vec<PathBuf>,
    /// Hold out this part of the training rows for validation, where there is no file of them: of each class the same
    /// part, rows with the same input together, chosen by the seed.
    #[arg(long, value_name = "PART", conflicts_with = "valid", allow_negative_numbers = true,
        help_heading = "What to train")]
    valid_split: f64,
    /// Learn so many of the training rows, drawn by the seed. With the same seed, more rows are the same ones and others.
    #[arg(long, value_name = "N", help_heading = "What to train", show_default = "all")]
    train_rows: usize,
    /// TOML file with several tasks, each a table of `[[tasks]]`, that share the virtual tokens; each has a head of its own. See
    /// docs/MULTITASK.md. The file of --config may have such tables, too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["train", "valid", "task_file", "data_dir", "labels"],
        help_heading = "What to train", value_parser = Tasks::read)]
    tasks: Tasks,
    /// How --tasks are mixed: all (each step learns from batches of every task), turns (batch by batch), or drawn (the
    /// task of a batch by the number of its rows).
    #[arg(long, value_name = "HOW", help_heading = "What to train", show_default = MIXING.name(Mixing::default()))]
    task_mixing: String,
    /// For --task-mixing drawn: a task with n rows is drawn in proportion to n^(1/T). Large ones draw all tasks alike.
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "What to train", show_default = 1)]
    task_temperature: f64,
    /// Folder of the run, and of the adapter that it makes.
    #[arg(long, value_name = "DIR", help_heading = "What to train")]
    out: PathBuf,
    /// Train N adapters, with the seed and the N - 1 next ones, each in a folder of its own in --out, and score them and
    /// their votes on the validation rows (docs/ENSEMBLES.md). --resume goes on with them.
    #[arg(long, value_name = "N", help_heading = "What to train", show_default = "one adapter, in --out itself")]
    ensemble: usize,

    /// Number of virtual tokens (P).
    #[arg(long, value_name = "P", help_heading = "Method", show_default = MethodName::default_of_each(
        &MethodName::ALL, MethodName::default_num_virtual_tokens))]
    num_virtual_tokens: usize,
    /// What virtual tokens start from. prompt: vocab, random, scaled, normal, labels or text, with --reparameterization
    /// what the encoder's input starts from; prefix and ptv2: random, zero or words.
    #[arg(long, value_name = "HOW", help_heading = "Method", show_default = format!(
        "{}; with --reparameterization mlp or lstm: {}",
        MethodName::default_of_each(&MethodName::ALL, |method| method.default_init(false)),
        MethodName::Prompt.default_init(true)))]
    init: String,
    /// The text of `--init text`, or the words of `--init words`.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Method")]
    init_text: String,
    /// Start from an adapter (a folder, or org/name on the Hub), be it of this task or of another, with its number of
    /// virtual tokens; and with its head, if that is for the same classes.
    #[arg(long, value_name = "ADAPTER", help_heading = "Method")]
    init_adapter: PathBuf,
    /// What makes the rows of a prompt in training, to be folded away afterwards (P-tuning): none (the rows themselves are
    /// trained), mlp, or lstm, which reads the rows from both ends, with an MLP behind it.
    #[arg(long, value_enum, value_name = "WHAT", hide_possible_values = true, help_heading = "Method",
        show_default = Reparameterization::None.name())]
    reparameterization: Reparameterization,
    /// Width of that encoder's hidden layers, of each direction of an LSTM.
    #[arg(long, value_name = "N", help_heading = "Method", show_default = "the model's hidden size")]
    encoder_hidden_size: usize,
    /// Layers of the LSTM.
    #[arg(long, value_name = "N", help_heading = "Method", show_default = EncoderConfig::DEFAULT_NUM_LAYERS)]
    encoder_num_layers: usize,
    /// Dropout rate between the layers of the LSTM.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, help_heading = "Method",
        show_default = EncoderConfig::DEFAULT_DROPOUT)]
    encoder_dropout: f64,
    /// Layers that get virtual tokens, such as 0-3,11; for ptv2.
    #[arg(long, value_name = "LIST", help_heading = "Method", show_default = "all")]
    layers: String,
    /// Attention sites of an encoder-decoder that get a prefix: encoder, decoder, cross.
    #[arg(long, value_name = "LIST", help_heading = "Method", show_default = "all three")]
    sites: String,
    /// Positions that follow a prefix on an encoder-decoder: unshifted, or shifted as in PEFT.
    #[arg(long, value_name = "RULE", help_heading = "Method", show_default = PREFIX_POSITIONS.name(
        PrefixPositions::Unshifted))]
    prefix_positions: String,
    /// Extend the relative position bias of a T5 over the prefix, as in PEFT.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Method",
        show_default = false)]
    relative_bias: bool,
    /// Put the virtual tokens between source and target, in front of the last token of the source (infix tuning), not in
    /// front of the row; for prefix and ptv2 on a decoder, with causal-lm. Worse than a prefix in the paper.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Method",
        show_default = false)]
    infix: bool,
    /// Make the prefix with an MLP, which is folded away after training.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Method",
        show_default = MethodName::default_of_each(
            &[MethodName::Prefix, MethodName::Ptv2], MethodName::default_projection))]
    prefix_projection: bool,
    /// Width of that MLP.
    #[arg(long, value_name = "N", help_heading = "Method", show_default = MethodName::default_of_each(
        &[MethodName::Prefix, MethodName::Ptv2], MethodName::default_hidden_size))]
    prefix_hidden_size: usize,
    /// Dropout rate of the prefix's keys and values.
    #[arg(long, value_name = "RATE", help_heading = "Method", show_default = MethodName::default_of_each(
        &[MethodName::Prefix, MethodName::Ptv2], MethodName::default_dropout))]
    prefix_dropout: f64,

    /// Training steps, one update each; in all, where a run is resumed.
    #[arg(long, value_name = "N", help_heading = "Training")]
    steps: usize,
    /// Training epochs, in place of steps.
    #[arg(long, value_name = "N", conflicts_with = "steps", help_heading = "Training",
        show_default = format!("{}, unless --steps is given", TrainConfig::DEFAULT_EPOCHS))]
    epochs: usize,
    /// Rows per batch.
    #[arg(long, value_name = "B", help_heading = "Training", show_default = defaults().batch_size)]
    batch_size: usize,
    /// Tokens per batch at most (sources and targets, padding included), in place of a number of rows: rows of
    /// similar length are batched together, and each step costs about the same.
    #[arg(long, value_name = "N", conflicts_with = "batch_size", help_heading = "Training")]
    batch_tokens: usize,
    /// causal-lm: lay several rows one after another into a packed row; they do not see each other, and what is learnt
    /// from each is the same. A batch has --batch-size packed rows, of at most --max-length tokens each (of as many as
    /// the longest row has, where that is not given); no row is cut to be packed. Scores of validation rows do without.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Training",
        show_default = defaults().packing)]
    packing: bool,
    /// Batches per step (gradient accumulation).
    #[arg(long, value_name = "K", help_heading = "Training", show_default = defaults().accumulation)]
    accumulation: usize,
    /// Learning rate.
    #[arg(long, value_name = "LR", allow_negative_numbers = true, help_heading = "Training",
        show_default = "by method and optimizer, see docs/RECIPES.md")]
    lr: f64,
    /// Learning rate of the head that is trained with a method.
    #[arg(long, value_name = "LR", allow_negative_numbers = true, help_heading = "Training",
        show_default = "that of --lr; with adamw at least 0.03")]
    head_lr: f64,
    /// Weight decay, applied to everything that is trained.
    #[arg(long, value_name = "WD", allow_negative_numbers = true, help_heading = "Training",
        show_default = AdamW::default().weight_decay)]
    weight_decay: f64,
    /// Optimizer: adamw, adafactor or sgd.
    #[arg(long, value_name = "NAME", help_heading = "Training", show_default = defaults().optimizer.name())]
    optimizer: String,
    /// Learning rate schedule after the warm-up: linear, constant, cosine, or exponential (0.95 times after each epoch).
    #[arg(long, value_name = "NAME", help_heading = "Training", show_default = defaults().schedule.name())]
    schedule: String,
    /// Steps of linear warm-up.
    #[arg(long, value_name = "N", help_heading = "Training", show_default = defaults().warmup_steps)]
    warmup_steps: usize,
    /// Largest norm of the gradients, over all parameters together.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, help_heading = "Training",
        show_default = "no clipping")]
    clip_norm: f64,
    /// seq-cls, token-cls: how much each class counts in the loss: balanced (a class counts as much as any other, however
    /// few rows it has), or a JSON file with a number for each class: {"yes": 3, "no": 1}. With token-cls, balanced finds
    /// more of the rare tags, and takes more words for them that are none: precision falls as recall rises.
    #[arg(long, value_name = "balanced|FILE", help_heading = "Training", show_default = "all the same")]
    class_weights: PathBuf,
    /// What part of a target is spread over all classes or tokens, from 0 to below 1.
    #[arg(long, value_name = "PART", allow_negative_numbers = true, help_heading = "Training",
        show_default = defaults().label_smoothing)]
    label_smoothing: f64,
    /// Gradient checkpointing: keep only the input of each layer and run the layer again in the backward pass.
    /// Saves most of the memory of activations and makes steps slower, see docs/PERFORMANCE.md.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Training",
        show_default = LoadOptions::default().recompute)]
    recompute: bool,
    /// Keep the frozen matrices of the base model in f32, bf16 (half the memory) or int8 (a quarter); use the
    /// same for eval, predict and generate. auto: as a GGUF file stores them, f32 for other files and on GPUs. A GPU takes
    /// bf16 with the same --dtype only.
    #[arg(long, value_name = "FORMAT", help_heading = "Training", value_parser = parse_value::<WeightFormat>,
        show_default = WeightFormat::default())]
    base_weights: WeightFormat,
    /// Room for the hidden states of rows below the first layer with virtual tokens, which are then computed once: 2GB,
    /// 500MB, 0. Memory is filled by at most a quarter of what is free; a file in --out, which is gone when the run ends, has
    /// the rest. For ptv2 with --layers from above 0, and for head; other rows are computed in every epoch, slower. Changes
    /// no result. CPU only.
    #[arg(long, value_name = "SIZE", help_heading = "Training", show_default = format!(
        "{}, at most a quarter of the free memory, no file", ByteSize(RunContext::DEFAULT_CACHE_FROZEN)))]
    cache_frozen: ByteSize,
    /// Multiply with the frozen matrices, forward and backward, in f32, bf16 or f16, of which both factors are; everything
    /// else stays in f32. Use the same for eval, predict and generate. A GPU also keeps the matrices in this type. On the CPU,
    /// bf16 is for processors with AMX-BF16 or AVX512-BF16, and takes memory for copies of the matrices; f16 is for GPUs,
    /// and scales the loss. See docs/DEVICES.md.
    #[arg(long, alias = "compute", value_name = "TYPE", help_heading = "Training", value_parser = parse_value::<Compute>,
        show_default = Compute::default())]
    #[serde(alias = "compute")]
    dtype: Compute,
    /// The one seed of the run.
    #[arg(long, value_name = "N", help_heading = "Training", show_default = defaults().seed)]
    seed: u64,
    /// Steps between evaluations on the validation rows.
    #[arg(long, value_name = "N", help_heading = "Training",
        show_default = "once per epoch, at most 50 times")]
    eval_every: usize,
    /// Steps between checkpoints.
    #[arg(long, value_name = "N", help_heading = "Training",
        show_default = "at every evaluation, and when interrupted")]
    checkpoint_every: usize,
    /// Metric that picks the best checkpoint.
    #[arg(long, value_name = "NAME", help_heading = "Training",
        show_default = "accuracy, f1 or loss, depending on the task")]
    best_metric: String,
    /// Evaluations without improvement before training stops early.
    #[arg(long, value_name = "N", help_heading = "Training", show_default = "never stop early")]
    patience: usize,

    /// Tokens kept of each row; for qa, tokens per window onto the context.
    #[arg(long, value_name = "T", help_heading = "Data",
        show_default = "all, and a row that is too long is an error")]
    max_length: usize,
    /// seq2seq-lm: tokens kept of each target.
    #[arg(long, value_name = "T", help_heading = "Data", show_default = "all")]
    max_target_length: usize,
    /// qa: tokens that neighbouring windows onto a long context share.
    #[arg(long, value_name = "N", help_heading = "Data",
        show_default = format!("{}, at most half a window", default_doc_stride()))]
    doc_stride: usize,
    /// qa: tokens of an answer at most.
    #[arg(long, value_name = "N", help_heading = "Data", show_default = defaults().max_answer_length)]
    max_answer_length: usize,
    /// qa: a question has no answer where the score of none is above that of the best answer by more than this, in
    /// logits.
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Data",
        show_default = format!("{DEFAULT_NULL_SCORE_DIFF_THRESHOLD} if any row has no answer, else all have one"))]
    null_score_diff_threshold: f64,
    /// Names of the columns of CSV and TSV files without a header, and of CoNLL files (tokens,tags,), separated by
    /// commas; a column without a name is not read.
    #[arg(long, value_name = "LIST", help_heading = "Data", show_default = "the first row of the file")]
    columns: String,
    /// Template that makes the input from a row's fields: "{premise} so {hypothesis}".
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Data")]
    source_template: String,
    /// Template that makes the target from a row's fields.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Data")]
    target_template: String,
    /// File of the chat template that renders conversations.
    #[arg(long, value_name = "FILE", help_heading = "Data", show_default = "the model's own")]
    chat_template: PathBuf,
    /// Day that a chat template prints, if it prints one: 2026-01-31.
    #[arg(long, value_name = "DAY", help_heading = "Data", show_default = "today, in UTC")]
    chat_date: String,
    /// What the labels of a row are, for seq-cls: single_label_classification (one class),
    /// multi_label_classification (a list of classes) or regression (a number).
    #[arg(long, value_name = "TYPE", help_heading = "Data", value_parser = parse_value::<ProblemType>,
        show_default = "that of the model, otherwise one class")]
    problem_type: ProblemType,
    /// Class names in order, separated by commas, or as a JSON list where they have commas; for language models the texts
    /// that targets can be.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true, help_heading = "Data",
        show_default = "those in the rows, sorted; for language models none")]
    labels: String,
    /// Leave out rows to train on and validation rows that have no label (none, -1, - or nan), no tags, no target or no
    /// answers, and say how many.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Data",
        show_default = "refuse them")]
    skip_unlabelled: bool,
    /// Side of the padding: right or left.
    #[arg(long, value_name = "SIDE", help_heading = "Data", show_default = PADDING.name(defaults().padding))]
    padding: String,
    /// Position that an encoder's classifier reads: first (as in PEFT) or first_token.
    #[arg(long, value_name = "WHICH", help_heading = "Data", show_default = POOLING.name(defaults().pooling))]
    pooling: String,
    /// Take batches in the file's order: no shuffling, no grouping by length.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Data",
        show_default = !defaults().shuffle)]
    no_shuffle: bool,
    /// File for one JSON line per step.
    #[arg(long, value_name = "FILE", help_heading = "Data", show_default = "metrics.jsonl in the run's folder")]
    metrics_file: PathBuf,
    /// Also write event files of TensorBoard into the run's folder: loss, learning rate, norm of the gradients and scores of
    /// the validation rows by step.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Data",
        show_default = false)]
    tensorboard: bool,
    /// Leave out report.html, a page about the run in its folder, and for language models the texts that are generated for
    /// it.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Data",
        show_default = false)]
    no_report: bool,

    /// Field that holds the text, where it is not called text; for token-cls the words.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    text_field: String,
    /// Field that holds the second text of a pair.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    text_pair_field: String,
    /// Field that holds the class; for token-cls the tags.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    label_field: String,
    /// Field that holds the words to tag.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    tokens_field: String,
    /// Field that holds their tags.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    tags_field: String,
    /// Field that holds the question.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    question_field: String,
    /// Field that holds the context of a question.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    context_field: String,
    /// Field that holds the answers.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    answers_field: String,
    /// Field that holds the source; a dot reaches into an object, as in translation.en.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    source_field: String,
    /// Field that holds the target.
    #[arg(long, value_name = "NAME", help_heading = FIELDS_HEADING)]
    target_field: String,
}

/// The training loop's own defaults.
fn defaults() -> TrainConfig {
    TrainConfig::default()
}
