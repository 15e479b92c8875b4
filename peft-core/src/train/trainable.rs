//! What is trained: a method's parameters and, for classification, a head's.

use burn::{module::Module, tensor::Tensor};

use crate::contract::{head::Head, method::PeftMethod, params, tensors::NamedTensors};

/// A method and the head that is trained beside it.
#[derive(Module, Debug)]
pub struct Learner<M: PeftMethod> {
    /// Makes the virtual tokens.
    pub method: M,
    /// Turns hidden states into classes. Where there is none, the model's own classifier or
    /// language-model head does.
    pub head: Option<Head>,
}

impl<M: PeftMethod> Learner<M> {
    /// A method with its head.
    pub fn new(method: M, head: Option<Head>) -> Self {
        Self { method, head }
    }

    /// The deployed form, on the plain device: any reparameterisation computed once and dropped.
    #[must_use]
    pub fn fold(&self) -> Self {
        Self { method: self.method.fold(), head: self.head.clone() }.valid()
    }

    /// The same parameters as leaves on the autodiff device.
    pub(crate) fn on_autodiff(self) -> Self {
        let values = params::values(&self).into_iter().map(|flat| flat.values).collect();
        params::replace(self, values)
    }

    /// All parameters under their paths, unfolded, exactly as they are.
    pub(crate) fn parameters(&self) -> NamedTensors {
        let data = |flat: params::Flat| (flat.name, flat.values.into_data());
        params::values(self).into_iter().map(data).collect()
    }

    /// Reads what [`parameters`](Self::parameters) gives; `Err` with the name of a parameter that is
    /// missing or has another length.
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

/// Whether every number of some tensors is finite.
pub(crate) fn all_finite(tensors: &NamedTensors) -> bool {
    tensors.values().all(|data| data.iter::<f64>().all(f64::is_finite))
}
