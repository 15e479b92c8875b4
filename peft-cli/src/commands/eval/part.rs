//! Of which rows scores and predictions are, where these are a part.

use std::path::Path;

use peft_core::{Error, adapter::atomic};
use serde_json::{Map, Value};

use super::EvalArgs;
use crate::{
    error::{CliError, CliResult},
    output,
    predictions::Format,
    shard::{Block, Cut, Taken},
};

/// Says of which rows the scores are.
pub(super) fn note_part(block: &Block) {
    output::note(format!(
        "note: scores are of {block}; scores of parts have no mean that is that of all: `peft merge` scores predictions \
         together, those of `peft predict --shard` or of --predictions"
    ));
}

/// Prints of which rows the scores above are, where these are a part.
pub(super) fn show_part(taken: &Taken, block: &Block) -> CliResult {
    match taken.shard {
        Some(_) => Ok(output::line(format!("\nshard: {block}"))?),
        None => Ok(()),
    }
}

impl EvalArgs {
    /// The part of the rows that is taken, and the file of its predictions with its format.
    pub(super) fn taken(&self) -> CliResult<(Taken, Format)> {
        if self.predictions.is_some()
            && self.max_new_tokens.is_none()
            && self.rank_classes.is_none()
        {
            let message =
                "--predictions: needs --max-new-tokens or --rank-classes, whose results it is for";
            return Err(CliError::Usage(message.into()));
        }
        // Before the name becomes that of a part: scores are on standard output.
        let named = self.predictions.as_deref();
        output::check_output("--predictions", named.filter(|named| output::is_stdout(named)), &[])?;
        let taken = self.part.take("--predictions", named)?;
        output::check_output("--predictions", taken.output.as_deref(), &self.inputs())?;
        let format = Format::of(None, "--predictions", taken.output.as_deref())?;
        taken.check_format("--predictions", format)?;
        if taken.shard.is_some() && self.out.is_some() {
            let message = "an evaluation is of all rows, and --shard takes a part of them: write predictions, of classes and \
                           answers by `peft predict --shard`, of texts by --predictions, whose parts `peft merge` puts \
                           together and scores";
            return Err(Error::setting("--out", message).into());
        }
        Ok((taken, format))
    }

    /// Writes the predictions of a block of a run.
    pub(super) fn write_predictions(
        &self,
        path: &Path,
        (taken, format): (&Taken, Format),
        (block, run): (Block, &dyn Fn() -> String),
        rows: Vec<Map<String, Value>>,
    ) -> CliResult {
        let text = match taken.shard {
            None => format.text(rows),
            Some(shard) => {
                let cut = Cut::part(block, shard, run());
                cut.check_replaces(path)?;
                rows.into_iter().enumerate().map(|(place, row)| cut.line(place, row)).collect()
            }
        };
        Ok(atomic::write_file(path, text.as_bytes())?)
    }

    /// Ends a part without rows: there are no scores, and an empty file of predictions.
    pub(super) fn write_nothing(&self, taken: &Taken, block: &Block) -> CliResult {
        if let Some(path) = &taken.output {
            taken.check_replaces()?;
            atomic::write_file(path, b"")?;
        }
        match taken.shard.filter(|_| self.json) {
            Some(shard) => Ok(output::line(output::object(&[("shard", block.json(shard))]))?),
            None => Ok(output::line(format!("shard: {block}"))?),
        }
    }
}
