//! Follows a run: one JSON line per step in a file, what is shown of it, and signals.

use std::{collections::VecDeque, fs::OpenOptions, time::Duration};

use peft_core::{
    Error, Result,
    evaluate::{Assessment, Constant},
    metrics::Metrics,
    train::{Flow, Observer, Plan, SpareRoom, StepReport},
};

use serde_json::json;

use super::{
    loss_watch::LossWatch,
    run_folder::{Begun, RunFolder},
    run_numbers::Evaluating,
    run_screen::RunScreen,
    step_lines,
    validation::Recorder,
};
use crate::{output, signals::Signals};

/// Steps whose mean loss is told at the end: a step alone says little.
const LAST: usize = 20;

/// Follows a run.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    /// Time between two lines without a terminal.
    every: Duration,
    folder: Option<RunFolder>,
    begun: Option<Begun>,
    /// What the run gives up for these files where the disk is full.
    spare: SpareRoom,
    signals: Signals,
    /// What is said when the run begins: facts, and warnings.
    opening: (Vec<String>, Vec<String>),
    is_shown: bool,
    screen: Option<RunScreen>,
    /// The loss of a run that is followed from its start.
    loss: Option<LossWatch>,
    lr: f64,
    head_lr: Option<f64>,
    /// Makes the record of what the best step predicts.
    recorder: Option<Recorder>,
    /// The losses of the last steps.
    last: VecDeque<f64>,
    /// The steps that this run has made itself.
    pub steps: usize,
    /// What the best step predicts for all rows, if it was found in this run.
    pub constant: Option<Constant>,
    /// What kept the metrics file from being written, which stops the run.
    pub failure: Option<Error>,
}

impl Progress {
    /// Follows the run of the method `name`, with one line per step in the file of the run's `folder`, which is made
    /// when the run begins.
    pub fn new(
        name: &'static str,
        every: Duration,
        folder: Option<RunFolder>,
        signals: Signals,
    ) -> Self {
        Self {
            name,
            every,
            folder,
            begun: None,
            spare: SpareRoom::default(),
            signals,
            opening: Default::default(),
            is_shown: true,
            screen: None,
            loss: None,
            lr: 0.0,
            head_lr: None,
            recorder: None,
            last: VecDeque::new(),
            steps: 0,
            constant: None,
            failure: None,
        }
    }

    /// Says this when the run begins, since nothing can keep it from beginning then.
    #[must_use]
    pub fn with_opening(self, facts: Vec<String>, warnings: Vec<String>) -> Self {
        Self { opening: (facts, warnings), ..self }
    }

    /// Which trains a head at a rate of its own.
    #[must_use]
    pub fn with_head_lr(self, head_lr: Option<f64>) -> Self {
        Self { head_lr, ..self }
    }

    /// Keeps what the best step predicts for the validation rows, for the page about the run.
    #[must_use]
    pub fn with_recorder(self, recorder: Option<Recorder>) -> Self {
        Self { recorder, ..self }
    }

    /// Shows nothing of it, since it is one of many.
    #[must_use]
    pub fn without_screen(self) -> Self {
        Self { is_shown: false, ..self }
    }

    /// Takes what is shown from the screen.
    pub fn finish(&mut self) {
        self.screen = None;
    }

    /// What is to be said of the loss of a run that has ended.
    pub fn loss_at_end(&self) -> Option<String> {
        self.loss.as_ref()?.at_end(self.lr)
    }

    /// The mean loss of the last steps, and their number.
    pub fn train_loss(&self) -> Option<(f64, usize)> {
        let count = self.last.len();
        (count > 0).then(|| (self.last.iter().sum::<f64>() / count as f64, count))
    }

    fn write(&mut self, report: &StepReport) -> Result<()> {
        let Some(Begun { path, metrics, events, .. }) = &mut self.begun else { return Ok(()) };
        let mut line = serde_json::to_string(report).unwrap_or_default();
        line.push('\n');
        self.spare.write_all(metrics, path, line.as_bytes())?;
        events.as_mut().map_or(Ok(()), |events| events.step(report))
    }

    fn write_scores(&mut self, step: usize, metrics: &Metrics) -> Result<()> {
        if let Some(events) = self.begun.as_mut().and_then(|begun| begun.events.as_mut()) {
            events.scores(step, metrics)?;
        }
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.evaluations();
        let mut line = json!({ "step": step });
        for (name, value) in metrics.iter() {
            line[name] = json!(value);
        }
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let file = self.spare.retry(|| open().map_err(Error::write(&path)))?;
        self.spare.write_all(file, &path, format!("{line}\n").as_bytes())
    }

    /// Keeps what the best step predicts. A run does not fail for that.
    fn record(&mut self, step: usize, found: &Assessment) {
        let (Some(recorder), Some(folder)) = (&self.recorder, &self.folder) else { return };
        let recorded = recorder.record(step, found);
        if let Err(error) = self.spare.retry(|| recorded.write(&folder.validation())) {
            self.warn(&format!("{error}: the page about this run will lack its predictions"));
            self.recorder = None;
        }
    }

    fn warn(&self, message: &str) {
        self.signals.bars().above(|| output::tell(format!("warning: {message}")));
    }
}

impl Observer for Progress {
    fn spare_room(&mut self, room: SpareRoom) {
        self.spare = room;
    }

    fn started(&mut self, plan: &Plan) -> Result<()> {
        let begin = |folder: &RunFolder| folder.begin(plan);
        self.begun = self.folder.as_ref().map(begin).transpose()?;
        if let Some(begun) = &mut self.begun {
            let events = begun.events.take();
            begun.events = events.map(|events| events.with_spare_room(self.spare.clone()));
        }
        for note in self.begun.as_ref().map(|begun| begun.notes.clone()).unwrap_or_default() {
            self.note(&note);
        }
        // The mean at the end is that of a run that was not interrupted.
        if let Some(begun) = self.begun.as_ref().filter(|_| plan.after_step > 0) {
            self.last = step_lines::last_losses(&begun.path, LAST)?.into();
        }
        let (facts, warnings) = std::mem::take(&mut self.opening);
        facts.iter().for_each(output::note);
        warnings.iter().for_each(|warning| self.warn(warning));
        self.loss = (plan.after_step == 0).then(|| LossWatch::new(plan.total_steps, self.head_lr));
        let screen = || RunScreen::new(self.name, plan, self.every, self.signals.bars());
        self.screen = self.is_shown.then(screen);
        Ok(())
    }

    fn step(&mut self, report: &StepReport) -> Flow {
        if let Err(error) = self.write(report) {
            self.failure = Some(error);
        }
        if let Some(screen) = &mut self.screen {
            screen.step(report);
        }
        self.lr = self.lr.max(report.lr);
        self.steps += 1;
        // A step without targets has no loss.
        if report.labelled > 0 {
            self.last.push_back(report.loss);
            if self.last.len() > LAST {
                self.last.pop_front();
            }
        }
        let risen = self.loss.as_mut().filter(|_| report.labelled > 0);
        if let Some(message) = risen.and_then(|watch| watch.add(report.loss)) {
            self.warn(&message);
        }
        match self.failure.is_some() || self.signals.came() {
            true => Flow::Stop,
            false => Flow::Continue,
        }
    }

    fn evaluating(&mut self, step: usize, rows: usize, of: usize) {
        if let Some(screen) = &mut self.screen {
            screen.evaluating(Evaluating { step, rows, of });
        }
    }

    fn evaluated(&mut self, step: usize, found: &Assessment, is_best: bool) {
        if let Err(error) = self.write_scores(step, &found.metrics) {
            self.failure = Some(error);
        }
        if let Some(screen) = &mut self.screen {
            screen.scored(step, &found.metrics, is_best);
        }
        if is_best {
            self.constant.clone_from(&found.constant);
            self.record(step, found);
        }
    }

    fn note(&mut self, message: &str) {
        self.signals.bars().above(|| output::note(format!("note: {message}")));
    }
}
