//! What a family did not ask for, and the report of what was loaded.

use std::collections::{BTreeMap, BTreeSet};

use peft_core::{Error, Result};

use super::{Source, Weights};
use crate::weights::{
    LoadReport,
    identity::fingerprint,
    surplus::{self, is_constant, is_other_head},
};

impl Weights {
    /// Checks that nothing is left over but heads of other tasks, constants, layers beyond those of the model, which
    /// transformers skips too, and what `may_skip` allows: the name without a prefix.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] naming a surplus tensor.
    pub fn finish(&self, may_skip: impl Fn(&str) -> bool) -> Result<LoadReport> {
        let used: BTreeSet<&String> = self.used.values().collect();
        let names = self.source.names().into_iter();
        let skipped: Vec<String> = names.filter(|name| !used.contains(name)).collect();
        let bare = |name: &str| -> String {
            let prefix = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
            prefix.unwrap_or(name).to_string()
        };
        let may_be_there = |name: &str| is_other_head(name) || is_constant(name) || may_skip(name);
        let mut more_layers = BTreeMap::new();
        for name in skipped.iter().filter(|name| !may_be_there(&bare(name))) {
            let Some(layer) = surplus::layer_beyond(name, &used) else {
                let way_out = match *self.source {
                    Source::Gguf(_) => "",
                    _ => {
                        "; if it is left over and nothing is lost without it, as in transformers, which leaves it out, save a \
                         copy in Python by the class of the task (AutoModelForCausalLM): from_pretrained(FOLDER)\
                         .save_pretrained(NEW)"
                    }
                };
                let message = format!(
                    "is not a part of this architecture, as {} describes it{way_out}",
                    self.described_by()
                );
                return Err(Error::tensor(&self.path, name, message));
            };
            *more_layers.entry(layer).or_default() += 1;
        }
        let fingerprint = fingerprint(&self.source, &self.used)?;
        let heads: Vec<String> = skipped
            .iter()
            .map(|name| bare(name))
            .filter(|name| is_other_head(name) && !may_skip(name))
            .collect();
        let other_heads = surplus::modules(heads.iter().map(String::as_str));
        Ok(LoadReport {
            skipped,
            other_heads,
            more_layers,
            num_parameters: self.parameters,
            fingerprint,
            tensors: self.used.clone(),
        })
    }
}
