//! Naming all the tensors of a model, part by part.

use burn::tensor::Tensor;
use peft_core::NamedTensors;

/// A part of a model that has tensors.
pub trait Part {
    /// Adds its tensors to `into`, under `name`.
    fn collect(&self, name: &str, into: &mut NamedTensors);
}

/// `name.part`; the whole model has no name.
pub fn join(name: &str, part: &str) -> String {
    if name.is_empty() { part.to_string() } else { format!("{name}.{part}") }
}

impl<const D: usize> Part for Tensor<D> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        into.insert(name.to_string(), self.to_data());
    }
}

impl<P: Part> Part for Option<P> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        self.iter().for_each(|part| part.collect(name, into));
    }
}

impl<P: Part> Part for Vec<P> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        for (index, part) in self.iter().enumerate() {
            part.collect(&join(name, &index.to_string()), into);
        }
    }
}

/// Makes a struct a [`Part`] whose parts are the fields named, under their names.
macro_rules! parts {
    ($whole:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::blocks::Part for $whole {
            fn collect(&self, name: &str, into: &mut peft_core::NamedTensors) {
                use $crate::blocks::join;
                $(self.$field.collect(&join(name, stringify!($field)), into);)+
            }
        }
    };
}
pub(crate) use parts;
