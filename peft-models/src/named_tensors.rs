//! All tensors of a model, named after its fields.

use burn::tensor::Tensor;
use peft_core::NamedTensors;

/// A model or a part of one that lists its tensors.
pub trait CollectTensors {
    /// Adds its tensors to `into`, under `name`.
    fn collect(&self, name: &str, into: &mut NamedTensors);

    /// All its tensors, under the names of its fields.
    fn named_tensors(&self) -> NamedTensors {
        let mut all = NamedTensors::new();
        self.collect("", &mut all);
        all
    }
}

/// `name.field`; the whole model has no name.
pub fn join(name: &str, field: &str) -> String {
    if name.is_empty() { field.to_string() } else { format!("{name}.{field}") }
}

impl<const D: usize> CollectTensors for Tensor<D> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        into.insert(name.to_string(), self.to_data());
    }
}

impl<T: CollectTensors> CollectTensors for Option<T> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        self.iter().for_each(|inner| inner.collect(name, into));
    }
}

impl<T: CollectTensors> CollectTensors for Vec<T> {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        for (index, element) in self.iter().enumerate() {
            element.collect(&join(name, &index.to_string()), into);
        }
    }
}

/// Implements [`CollectTensors`] for a struct: the tensors of the fields listed, under their names.
macro_rules! named_tensors {
    ($whole:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::named_tensors::CollectTensors for $whole {
            fn collect(&self, name: &str, into: &mut peft_core::NamedTensors) {
                use $crate::named_tensors::join;
                $(self.$field.collect(&join(name, stringify!($field)), into);)+
            }
        }
    };
}
pub(crate) use named_tensors;
