//! What the runs of one program share: a base model that is loaded once, rows that are read and encoded once.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use peft_core::{
    Adapter, ProblemType, Task,
    data::Labels,
    text::{Clock, Encoded, FoundFields, Role},
};

use super::{
    class_names,
    inputs::{Base, Inputs},
};
use crate::{base_model, error::CliResult, output, settings::Settings, tasks::task_file::TaskFile};

/// What runs share. Of base models it keeps one at a time, with its rows.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Kept>);

/// What was read, with the settings that it depends on.
#[derive(Debug, Default)]
struct Kept {
    base: Option<(Settings, Base)>,
    rows: Vec<(Settings, Arc<ReadRows>)>,
}

/// The rows of a run, encoded, and what is known of them.
#[derive(Debug)]
pub(super) struct ReadRows {
    /// The fields that were read.
    pub found: FoundFields,
    /// What the outputs of a classifier of rows mean.
    pub problem_type: ProblemType,
    /// The names of the classes.
    pub labels: Option<Labels>,
    /// The task in TOML, if there is one.
    pub task_file: Option<TaskFile>,
    /// The text of `chat_template`, if one was given.
    pub chat_template: Option<String>,
    /// The day that the rows show, if they show one.
    pub chat_date: Option<String>,
    /// The adapter to start from.
    pub start_adapter: Option<Adapter>,
    /// The rows to learn.
    pub train: Arc<Encoded>,
    /// The rows to validate on.
    pub valid: Arc<Encoded>,
}

impl Shared {
    /// The base model of a run.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, key or tensor that is wrong.
    pub(crate) fn base(&self, settings: &Settings, device: &Device) -> CliResult<Base> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = of_base(settings);
        if let Some((_, base)) = kept.base.as_ref().filter(|(known, _)| *known == wanted) {
            return Ok(base.clone());
        }
        // Two of them at once may be more than there is memory for.
        *kept = Kept::default();
        let base = Base::load(settings, device)?;
        kept.base = Some((wanted, base.clone()));
        Ok(base)
    }

    /// The rows of a run on its base model.
    ///
    /// # Errors
    ///
    /// Returns an error naming the flag, file, line, key or tensor that is wrong.
    pub(super) fn rows(
        &self,
        settings: &Settings,
        task: Task,
        base: &Base,
        device: &Device,
    ) -> CliResult<Arc<ReadRows>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = of_rows(settings);
        if let Some((_, rows)) = kept.rows.iter().find(|(known, _)| *known == wanted) {
            return Ok(rows.clone());
        }
        let rows = Arc::new(ReadRows::read(settings, task, base.clone(), device)?);
        kept.rows.push((wanted, rows.clone()));
        Ok(rows)
    }
}

impl ReadRows {
    fn read(settings: &Settings, task: Task, base: Base, device: &Device) -> CliResult<Self> {
        base_model::note_no_pooler(&base.loaded, task, base.dir.path());
        let inputs = Inputs::read(settings, base)?;
        let found = inputs.find_fields(settings, task)?;
        let problem_type = class_names::problem_type(
            settings.problem_type,
            task,
            &inputs.base.loaded,
            inputs.start_adapter.as_ref(),
        )?;
        let labels = class_names::of_run(
            (settings.labels.as_deref(), settings.skip_unlabelled.unwrap_or_default()),
            (task, problem_type),
            &inputs.base.loaded,
            inputs.start_adapter.as_ref(),
            &inputs.train,
            &found.names,
            device,
        )?;
        // A template may make the target of other fields.
        if let Some(labels) = labels.as_ref().filter(|_| task.is_language_model())
            && settings.target_template.is_none()
        {
            let key = found.names.name(Role::Target);
            let told = class_names::other_target(inputs.train.rows(), labels, key);
            told.into_iter().for_each(output::note);
        }
        let chat_template = settings.text().chat()?.template.map(|(text, _)| text);
        let chat_date = settings.chat_date.clone().or_else(|| Some(Clock::now().day()));
        let today = Settings { chat_date, ..settings.clone() };
        let (train, valid) =
            inputs.encode(&today, (task, problem_type), labels.as_ref(), &found)?;
        settings.text().check_rendered(&[&train, &valid], "")?;
        let shows_day =
            train.conversations + valid.conversations > 0 && inputs.prints_date(&today)?;
        Ok(Self {
            found,
            problem_type,
            labels,
            task_file: inputs.task_file,
            chat_template,
            chat_date: today.chat_date.filter(|_| shows_day),
            start_adapter: inputs.start_adapter,
            train: Arc::new(train),
            valid: Arc::new(valid),
        })
    }
}

/// The settings that a base model depends on.
fn of_base(settings: &Settings) -> Settings {
    let Settings { model, recompute, base_weights, dtype, .. } = settings.clone();
    Settings { model, recompute, base_weights, dtype, ..Settings::default() }
}

/// The settings that rows depend on: all but those that are known not to change them.
fn of_rows(settings: &Settings) -> Settings {
    Settings {
        recipe: None,
        method: None,
        out: None,
        ensemble: None,
        num_virtual_tokens: None,
        init: None,
        init_text: None,
        reparameterization: None,
        encoder_hidden_size: None,
        encoder_num_layers: None,
        encoder_dropout: None,
        layers: None,
        sites: None,
        prefix_positions: None,
        relative_bias: None,
        infix: None,
        prefix_projection: None,
        prefix_hidden_size: None,
        prefix_dropout: None,
        train_rows: None,
        tasks: None,
        task_mixing: None,
        task_temperature: None,
        steps: None,
        epochs: None,
        batch_size: None,
        batch_tokens: None,
        packing: None,
        accumulation: None,
        lr: None,
        head_lr: None,
        weight_decay: None,
        optimizer: None,
        schedule: None,
        warmup_steps: None,
        clip_norm: None,
        class_weights: None,
        label_smoothing: None,
        recompute: None,
        base_weights: None,
        cache_frozen: None,
        dtype: None,
        // Rows that are held out are chosen by it.
        seed: settings.seed.filter(|_| settings.valid_split.is_some()),
        eval_every: None,
        checkpoint_every: None,
        best_metric: None,
        patience: None,
        padding: None,
        pooling: None,
        no_shuffle: None,
        metrics_file: None,
        tensorboard: None,
        no_report: None,
        ..settings.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_where_nothing_of_them_differs() {
        let one =
            Settings { seed: Some(1), lr: Some(0.1), max_length: Some(9), ..Settings::default() };
        let two = Settings { seed: Some(2), lr: Some(0.2), steps: Some(3), ..one.clone() };
        assert_eq!(of_rows(&one), of_rows(&two));
        assert_ne!(of_rows(&one), of_rows(&Settings { max_length: Some(8), ..one.clone() }));
        let split =
            |seed| of_rows(&Settings { valid_split: Some(0.1), seed: Some(seed), ..one.clone() });
        assert_ne!(split(1), split(2));
        let narrow = Settings { recompute: Some(true), ..one.clone() };
        assert_eq!(of_rows(&narrow), of_rows(&one));
        assert_ne!(of_base(&narrow), of_base(&one));
    }
}
