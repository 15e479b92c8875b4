//! From settings and a config to a step: what would be trained on what, without a weight and without the text of a row.

use std::{fs, path::Path};

use burn::tensor::DType;
use peft_core::{
    Error, FrozenModel, Result, Task, contract::length_multiple::LENGTH_MULTIPLE,
    evaluate::checks::check_topology, formats::gguf::is_gguf, train::TrainConfig,
};
use peft_models::{
    Compute, LmHead, ModelConfig, Outline, WeightFormat, Weights,
    cost::{Batch, Executor, Method, Placing, Step, StepSize, TrainedHead, weight_bytes},
    kernels, outline_of, outline_with,
};

use super::{
    hardware::{Device, Kind},
    limits::{check_length, check_sizes, check_step, positions_taken, refuse_unplanned},
    method::method_of,
    rows::RowArgs,
    weightless::Weightless,
};
use crate::{
    base_model,
    device::{Backend, DeviceName, open::open},
    error::{CliError, CliResult},
    flags::method_name::MethodName,
    locate,
    model_dir::ModelDir,
    settings::{
        Settings,
        resolve::{check_uses, resolve},
        train_config::train_config,
    },
    training::{class_count, method_builder::MethodBuilder},
};

/// A step that would be made.
#[derive(Debug)]
pub struct Planned {
    /// The settings, defaults filled in.
    pub settings: Settings,
    /// The method.
    pub name: MethodName,
    /// The task.
    pub task: Task,
    /// The model's sizes.
    pub outline: Outline,
    /// Bytes of the tensors of a GGUF file, where the model is one.
    pub gguf: Option<u64>,
    /// What is trained, and where it enters.
    pub method: Method,
    /// The head that is trained with it.
    pub head: Option<TrainedHead>,
    /// Whether nothing says how many classes it has.
    pub assumes_classes: bool,
    /// One batch, as it is given.
    pub batch: Batch,
    /// The most tokens that a row, and one of the decoder of an encoder-decoder, have positions for.
    most: [Option<usize>; 2],
    /// The settings of the loop.
    pub config: TrainConfig,
}

impl Planned {
    /// The step of these settings.
    ///
    /// # Errors
    ///
    /// Returns an error naming the flag, the file or the key that is wrong, as training would.
    pub fn new(mut settings: Settings, rows: &RowArgs) -> CliResult<Self> {
        refuse_unplanned(&settings)?;
        // Training needs rows; here they may be missing.
        let named = settings.train.clone();
        settings.train.get_or_insert_with(|| vec!["rows".into()]);
        let settings = resolve(settings)?;
        let name = *Settings::required(&settings.method, "--method")?;
        let task = *Settings::required(&settings.task, "--task")?;
        let config = train_config(&settings, task)?;
        check_uses(&settings, task)?;
        let path = locate::model_config(Settings::required(&settings.model, "--model")?)?;
        let read = ModelConfig::load(&path)?;
        // No other device is opened to plan for one that this machine need not have.
        let Ok(cpu) = open(DeviceName::best(Backend::Cpu)) else {
            return Err(CliError::Usage(
                "plan needs the CPU, which this program was built without: build it with the feature `cpu`, too".to_string(),
            ));
        };
        // A plan needs no weights: what cannot be opened tells nothing.
        let outline = match Weights::open(&path, &cpu.device, DType::F32) {
            Ok(weights) => outline_with(&read, weights)?,
            Err(_) => outline_of(&read)?,
        };
        check_sizes(&outline, read.path())?;
        base_model::note_assumed(&read);
        check_topology(&outline.spec, task).map_err(|error| match error {
            Error::Setting { message, .. } => Error::setting("--task", message),
            other => other,
        })?;
        if task.is_language_model() && outline.lm_head == LmHead::None {
            let name = &outline.spec.model_type;
            let message = format!("found {task}, but this {name} model has no language-model head");
            return Err(Error::setting("--task", message).into());
        }
        let model = Weightless { outline, device: cpu.device };
        let dir = ModelDir::from(path);
        let builder = MethodBuilder {
            settings: &settings,
            model: &model,
            dir: &dir,
            labels: None,
            adapter: None,
            device: model.device(),
        };
        let (method, positions) = method_of(&builder, name)?;
        let predicts_first = name == MethodName::Prompt;
        let batch = rows.batch(&settings, task, predicts_first)?;
        let classes = rows.classes(&settings, task)?;
        let in_rows = match rows.assumes_classes(&settings, task) {
            true => {
                let settings = Settings { train: named, ..settings.clone() };
                class_count::of_rows(&settings, task, &read)?
            }
            false => None,
        };
        let head = classes.map(|assumed| TrainedHead {
            classes: in_rows.unwrap_or(assumed),
            hidden: model.head_layout(task).hidden,
            reads_rows: task == Task::SeqCls,
        });
        let assumes_classes = in_rows.is_none() && rows.assumes_classes(&settings, task);
        let outline = model.outline;
        check_length(&outline, &method, positions, batch)?;
        let [taken, on_decoder] = positions_taken(&method, positions);
        let most = |limit: Option<usize>, taken: usize| Some(limit?.saturating_sub(taken));
        let most = [
            most(outline.spec.max_positions, taken),
            most(outline.spec.max_decoder_positions, on_decoder),
        ];
        check_step(&outline, &method, batch, read.path())?;
        let gguf = is_gguf(read.path()).then(|| gguf_bytes(read.path())).transpose()?;
        Ok(Self {
            name,
            task,
            outline,
            gguf,
            method,
            head,
            assumes_classes,
            batch,
            most,
            config,
            settings,
        })
    }

    /// What computes the step on a device.
    fn executor(&self, device: &Device, threads: usize) -> Executor {
        match device.kind {
            Kind::Cpu if kernels::enabled() => Executor::Kernels { threads },
            Kind::Cpu | Kind::Gpu => Executor::General,
        }
    }

    /// The step with `rows` rows in each batch.
    pub fn step(&self, device: &Device, threads: usize, rows: u64) -> Step<'_> {
        Step {
            outline: &self.outline,
            method: &self.method,
            head: self.head,
            batch: self.rows(device, rows),
            batches: self.config.accumulation as u64,
            recompute: self.settings.recompute.unwrap_or_default(),
            executor: self.executor(device, threads),
        }
    }

    /// A batch of so many rows. On a GPU it is padded to few lengths, as training pads it.
    fn rows(&self, device: &Device, rows: u64) -> Batch {
        let of_row = self.batch.targets / self.batch.rows.max(1);
        let padded = |tokens: u64, most: Option<usize>| match device.kind {
            Kind::Cpu => tokens,
            Kind::Gpu => tokens
                .next_multiple_of(LENGTH_MULTIPLE as u64)
                .min(most.map_or(u64::MAX, |most| most as u64)),
        };
        let [most, of_decoder] = self.most;
        Batch {
            rows,
            tokens: padded(self.batch.tokens, most),
            decoder_tokens: padded(self.batch.decoder_tokens, of_decoder),
            targets: rows * of_row,
        }
    }

    /// What decides how much memory it takes.
    pub fn size(&self, device: &Device, threads: usize, rows: u64) -> StepSize<'_> {
        let format = self.settings.base_weights.unwrap_or_default();
        let executor = self.executor(device, threads);
        let narrow = match executor {
            Executor::General => self.is_widened(device),
            Executor::Kernels { .. } => format.is_rounded() || self.stored(device).is_some(),
        };
        let is_prompt = self.method.placing == Placing::Prompt;
        let p = self.method.virtual_tokens;
        let spec = &self.outline.spec;
        let made = match &self.method.placing {
            Placing::Prompt if spec.is_causal() => {
                p * spec.sites.iter().map(|site| site.prefix_width()).sum::<usize>()
            }
            _ if self.method.network > 0 => p * self.method.width(&self.outline),
            _ => 0,
        };
        // Virtual tokens that nothing makes are trained themselves.
        let of_tokens = if made == 0 { self.method.trained } else { 0 };
        let of_head = self.head.map_or(0, |head| self.of_head(head));
        let first = self.method.first_layer(&self.outline);
        StepSize {
            outline: &self.outline,
            parameters: self.outline.parameters.total(),
            is_language_model: self.task.is_language_model(),
            batch: self.rows(device, rows),
            evaluated: Batch::default(),
            prompt: if is_prompt { p } else { 0 },
            virtual_tokens: p,
            // Of an encoder-decoder's layers, only the encoder's may be frozen.
            first_layer: if spec.is_encoder_decoder() { first.map(|_| 0) } else { first },
            trained: self.trained(),
            in_slices: of_head + of_tokens,
            moments: self.config.optimizer.moments(),
            made,
            recompute: self.settings.recompute.unwrap_or_default(),
            narrow,
            compute: self.compute(),
            executor,
            batches: self.config.accumulation,
            replicas: 1,
        }
    }

    /// All parameters that are trained.
    pub fn trained(&self) -> usize {
        self.method.trained + self.head.map_or(0, |head| self.of_head(head))
    }

    /// Parameters of the head, with its biases.
    fn of_head(&self, head: TrainedHead) -> usize {
        let h = self.outline.spec.hidden_size;
        let layout = (self.outline.head_layout)(self.task);
        let biases = if layout.bias { head.classes } else { 0 };
        head.matrices(h) + biases + if head.hidden { h } else { 0 }
    }

    /// Numbers whose gradients replicas add up that each have a batch of their own: of the virtual tokens, whatever makes
    /// them, and of the head. `peft train --devices` does otherwise (docs/DEVICES.md).
    pub fn exchanged(&self) -> usize {
        let virtual_tokens = self.method.virtual_tokens * self.method.width(&self.outline);
        virtual_tokens + self.head.map_or(0, |head| self.of_head(head))
    }

    /// Bytes of the frozen weights on a device.
    pub fn weights(&self, device: &Device) -> u64 {
        if let Some(bytes) = self.stored(device) {
            return bytes;
        }
        let format = match self.is_reduced(device) {
            // Either type has 16 bits.
            true => WeightFormat::Bf16,
            false => self.settings.base_weights.unwrap_or_default(),
        };
        weight_bytes(&self.outline.parameters, format)
    }

    /// The bytes of the GGUF file whose matrices stay as it stores them, if they do: kernels alone read them so.
    fn stored(&self, device: &Device) -> Option<u64> {
        let format = self.settings.base_weights.unwrap_or_default();
        let reads = matches!(self.executor(device, 1), Executor::Kernels { .. });
        self.gguf.filter(|_| reads && format == WeightFormat::Auto)
    }

    /// Whether the matrices themselves are kept in the 16 bits of products: kernels make copies.
    fn is_reduced(&self, device: &Device) -> bool {
        self.compute().is_rounded() && self.executor(device, 1) == Executor::General
    }

    /// Whether each product writes and reads the matrix once more, in f32: without kernels, which upcast parts of it.
    pub fn is_widened(&self, device: &Device) -> bool {
        let format = self.settings.base_weights.unwrap_or_default();
        format.is_rounded()
            && !self.compute().is_rounded()
            && self.executor(device, 1) == Executor::General
    }

    /// Whether those bytes are counted: of a GGUF file it is its size, which has metadata, too, and what is not kept.
    pub fn weights_are_exact(&self, device: &Device) -> bool {
        self.stored(device).is_none()
    }

    /// How the frozen weights are kept on a device.
    pub fn kept_as(&self, device: &Device) -> String {
        let format = self.settings.base_weights.unwrap_or_default();
        if self.is_reduced(device) {
            return self.compute().to_string();
        }
        match format {
            WeightFormat::Auto if self.stored(device).is_some() => {
                "as the GGUF file has them".into()
            }
            WeightFormat::Auto => WeightFormat::F32.to_string(),
            format => format.to_string(),
        }
    }

    /// In which type products are.
    pub fn compute(&self) -> Compute {
        self.settings.dtype.unwrap_or_default()
    }
}

/// Bytes of a GGUF file, all parts of a split one.
fn gguf_bytes(path: &Path) -> Result<u64> {
    let size =
        |path: &Path| -> Result<u64> { Ok(fs::metadata(path).map_err(Error::read(path))?.len()) };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((before, count)) = name.rsplit_once("-of-") else { return size(path) };
    let Some(stem) = before.strip_suffix("00001") else { return size(path) };
    let parts = count.get(..5).and_then(|count| count.parse().ok()).unwrap_or(1u32);
    (1..=parts).map(|part| size(&path.with_file_name(format!("{stem}{part:05}-of-{count}")))).sum()
}
