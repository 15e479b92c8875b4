//! What tensors are called in a source: with or without a prefix, by old names, or by one of several.

use burn::tensor::{DType, TensorData};
use peft_core::Result;

use super::Weights;
use crate::weights::{LM_HEAD, head_names::is_classifier};

impl Weights {
    /// Accepts names with or without `prefix`, which some checkpoints write and others do not. May be called for
    /// several prefixes; the first is the usual one.
    #[must_use]
    pub fn with_optional_prefix(mut self, prefix: &'static str) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// The spelling under which the source has a tensor: with or without a prefix, and with the old names of a norm's
    /// parameters.
    pub(super) fn find(&self, name: &str) -> Option<String> {
        let old = name
            .strip_suffix("LayerNorm.weight")
            .map(|stem| format!("{stem}LayerNorm.gamma"))
            .or_else(|| {
                name.strip_suffix("LayerNorm.bias").map(|stem| format!("{stem}LayerNorm.beta"))
            });
        [Some(name.to_string()), old].into_iter().flatten().find_map(|name| {
            let prefixes = std::iter::once("").chain(self.prefixes.iter().copied());
            prefixes
                .map(|prefix| format!("{prefix}{name}"))
                .find(|spelling| self.source.contains(spelling))
        })
    }

    /// One name for all spellings: that of a checkpoint with a head, where the backbone has the prefix and the head has
    /// none.
    pub(super) fn canonical(&self, name: &str) -> String {
        let is_head = is_classifier(name)
            || name.split_once('.').is_some_and(|(module, _)| module == LM_HEAD);
        let prefix = if is_head { "" } else { self.prefixes.first().unwrap_or(&"") };
        format!("{prefix}{name}")
    }

    /// The first of several names under which a tensor is there, else the first of all.
    pub(super) fn one_of<'a>(&self, names: [&'a str; 3]) -> Result<&'a str> {
        let there: Vec<&str> =
            names.into_iter().filter(|name| self.shape(name).is_some()).collect();
        let chosen = there.first().copied().unwrap_or(names[0]);
        for other in there.iter().skip(1) {
            if !self.are_equal(chosen, other)? {
                let message = format!(
                    "differs from `{chosen}`, and this version has one matrix for both: if one of them is left over, save \
                     the model without it"
                );
                return Err(self.error(other, &message));
            }
        }
        Ok(chosen)
    }

    /// Whether two tensors are there and equal, bit by bit.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Read`] if the file cannot be read.
    pub fn are_equal(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(one), Some(other)) = (self.find(one), self.find(other)) else { return Ok(false) };
        self.source.are_equal(&one, &other)
    }

    /// Whether the source has a tensor; random weights have all.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The shape of a tensor in the source; `None` if it is missing.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let spelling = self.find(name)?;
        self.source.shape(&spelling)
    }

    /// A tensor of the files in f32, by its name there or in another checkpoint of the model: names of a module around
    /// the model may stand in front of either. `None` if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Read`](peft_core::Error::Read) if the file cannot be read, [`Error::Tensor`](peft_core::Error::Tensor) if the
    /// tensor is not of floats.
    pub fn stored(&self, name: &str) -> Result<Option<TensorData>> {
        let inner = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
        let own = inner.filter(|name| name.contains('.')).find_map(|name| self.find(name));
        let longer = || {
            let end = format!(".{name}");
            self.source.names().into_iter().find(|stored| stored.ends_with(&end))
        };
        let Some(spelling) = own.or_else(longer) else { return Ok(None) };
        let shape = self.source.shape(&spelling).unwrap_or_default();
        self.source.read(&spelling, name, &shape, DType::F32, false).map(Some)
    }
}
