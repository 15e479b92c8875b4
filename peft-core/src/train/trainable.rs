//! What is trained: the parameters of a method and, for classification, of a head or several.

use burn::{module::Module, tensor::Tensor};

use crate::{
    contract::{head::Head, method::PeftMethod, params, readback::Readback, tensors::NamedTensors},
    error,
};

/// A method and the head that is trained with it.
#[derive(Module, Debug)]
pub struct Trainable<M: PeftMethod> {
    /// Produces the virtual tokens.
    pub method: M,
    /// Maps hidden states to classes. If there is none, the model's own classifier or
    /// language-model head is used.
    pub head: Option<Head>,
    /// The heads of the other tasks of a joint run, in their order; `head` is that of the first.
    pub other_heads: Vec<Option<Head>>,
}

impl<M: PeftMethod> Trainable<M> {
    /// Joins a method and, for a task with a head of its own, that head.
    pub fn new(method: M, head: Option<Head>) -> Self {
        Self { method, head, other_heads: Vec::new() }
    }

    /// Joins a method and the head of each task of a joint run, where the tasks have one.
    pub fn joint(method: M, heads: impl IntoIterator<Item = Option<Head>>) -> Self {
        let mut heads = heads.into_iter();
        Self { method, head: heads.next().flatten(), other_heads: heads.collect() }
    }

    /// The heads of all tasks, in their order.
    pub fn heads(&self) -> impl Iterator<Item = Option<&Head>> {
        std::iter::once(self.head.as_ref()).chain(self.other_heads.iter().map(Option::as_ref))
    }

    /// The method with the head of one task of a joint run.
    #[must_use]
    pub fn of_task(&self, index: usize) -> Self {
        Self::new(self.method.clone(), self.heads().nth(index).flatten().cloned())
    }

    /// Returns the deployed form, on the plain device: any reparameterisation is computed once and
    /// dropped.
    #[must_use]
    pub fn fold(&self) -> Self {
        let Self { method, head, other_heads } = self.clone();
        Self { method: method.fold(), head, other_heads }.valid()
    }

    /// All parameters by path, unfolded, with their exact values, read together.
    pub(crate) fn parameters(&self) -> error::Result<NamedTensors> {
        let (mut names, mut together) = (Vec::new(), Readback::default());
        for flat in params::values(self) {
            names.push(flat.name);
            together.add(flat.values);
        }
        Ok(names.into_iter().zip(together.read()?).collect())
    }

    /// Loads what [`parameters`](Self::parameters) returns; `Err` with the name of a parameter that
    /// is missing or has another length.
    pub(crate) fn with_parameters(self, stored: &NamedTensors) -> Result<Self, String> {
        let values = params::values(&self)
            .into_iter()
            .map(|flat| {
                let data = stored
                    .get(&flat.name)
                    .filter(|data| data.num_elements() == flat.values.dims()[0])
                    .ok_or_else(|| flat.name.clone())?;
                let device = flat.values.device();
                Ok(Tensor::from_data(data.clone(), (&device, data.dtype())))
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(params::replace(self, values))
    }
}

/// Whether a parameter of a [`Trainable`] is one of a head's.
pub(super) fn is_head(name: &str) -> bool {
    name.starts_with("head.") || name.starts_with("other_heads.")
}

/// Whether all values of the tensors are finite.
pub(crate) fn all_finite(tensors: &NamedTensors) -> bool {
    tensors.values().all(|data| data.iter::<f64>().all(f64::is_finite))
}
