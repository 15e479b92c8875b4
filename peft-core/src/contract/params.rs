//! The float parameters of a module as a flat list, used by optimizers, clipping and checkpoints.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Gradients, Tensor},
};

use super::tensors::NamedTensors;
use crate::error::{Error, Result};

/// One parameter, or its gradient, flattened.
#[derive(Clone, Debug)]
pub struct Flat {
    /// The path in the module, such as `method.embedding`.
    pub name: String,
    /// The shape before flattening.
    pub shape: Vec<usize>,
    /// The values, on the plain device.
    pub values: Tensor<1>,
}

/// Calls `take` with the path and the value of every float parameter.
struct Visit<F>(Vec<String>, F);

trait TakeParam {
    fn take<const D: usize>(&mut self, name: &str, value: Tensor<D>);
}

impl<F: TakeParam> ModuleVisitor for Visit<F> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.take(&self.0.join("."), param.val());
    }

    fn enter_module(&mut self, name: &str, _container: &str) {
        self.0.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.pop();
    }
}

fn flatten<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.dims().iter().product::<usize>();
    tensor.reshape([count])
}

/// Returns the values of all float parameters, in the module's order.
pub fn values<M: Module>(module: &M) -> Vec<Flat> {
    struct Values(Vec<Flat>);
    impl TakeParam for Values {
        fn take<const D: usize>(&mut self, name: &str, value: Tensor<D>) {
            let shape = value.dims().to_vec();
            let values = flatten(value.without_autodiff());
            self.0.push(Flat { name: name.to_string(), shape, values });
        }
    }
    let mut visit = Visit(Vec::new(), Values(Vec::new()));
    module.visit(&mut visit);
    visit.1.0
}

/// Returns the gradients of all float parameters, in the module's order; `None` for those without a
/// gradient.
pub fn gradients<M: Module>(module: &M, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
    struct Take<'a>(Vec<Option<Tensor<1>>>, &'a mut Gradients);
    impl TakeParam for Take<'_> {
        fn take<const D: usize>(&mut self, _name: &str, value: Tensor<D>) {
            self.0.push(value.grad_remove(self.1).map(flatten));
        }
    }
    let mut visit = Visit(Vec::new(), Take(Vec::new(), gradients));
    module.visit(&mut visit);
    visit.1.0
}

/// Replaces all float parameters by `values`, in the module's order, as new leaves on the autodiff
/// device. They get the shapes of the module; there must be one value per parameter.
pub fn replace<M: Module>(module: M, values: Vec<Tensor<1>>) -> M {
    struct Replace(std::vec::IntoIter<Tensor<1>>);
    impl ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.0.next() {
                Some(values) => {
                    param.map(|old| values.reshape(old.dims()).autodiff().require_grad())
                }
                None => param,
            }
        }
    }
    module.map(&mut Replace(values.into_iter()))
}

/// The same module with its parameters as leaves of a graph of their own, on the autodiff device.
pub fn as_leaves<M: Module>(module: M) -> M {
    let values = values(&module).into_iter().map(|flat| flat.values).collect();
    replace(module, values)
}

/// The same module with its parameters as leaves of a graph of their own, on another device with autodiff.
pub fn on_device<M: Module>(module: M, device: &Device) -> M {
    let moved = |flat: Flat| flat.values.to_device(device);
    let values = values(&module).into_iter().map(moved).collect();
    replace(module, values)
}

/// Returns the parameter stored under `name`, in its stored type.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the tensor, if it is missing or its shape is not `shape`.
pub fn from_named<const D: usize>(
    name: &str,
    shape: [usize; D],
    state: &NamedTensors,
    device: &Device,
) -> Result<Param<Tensor<D>>> {
    let Some(data) = state.get(name) else {
        let found = state.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(Error::Mismatch(format!("no tensor `{name}`, found {found}")));
    };
    let found = data.shape().as_slice();
    if found != shape {
        return Err(Error::Mismatch(format!(
            "`{name}` has the shape {found:?}, expected {shape:?}"
        )));
    }
    Ok(Param::from_tensor(Tensor::from_data(data.clone(), (device, data.dtype()))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contract::head::{Head, HeadLayout};

    /// A copy has the values and gets the gradients that the module itself would, which stays as it was.
    #[test]
    fn parameters_on_a_device_are_leaves_there() {
        let device = Device::default();
        let layout = HeadLayout::with_hidden("classifier");
        let read = |of: Vec<Option<Tensor<1>>>| -> Vec<Vec<f32>> {
            of.into_iter().map(|own| own.unwrap().into_data().iter().collect()).collect()
        };
        for autodiff in [false, true] {
            let own = if autodiff { device.clone().autodiff() } else { device.clone() };
            let head = Head::init(layout, 3, 4, 1, &own);
            let copy = on_device(head.clone(), &device);
            let value =
                |head: &Head| values(head).into_iter().map(|own| Some(own.values)).collect();
            assert_eq!(read(value(&copy)), read(value(&head)));
            let gradients_of = |head: Head| {
                let hidden = Tensor::<2>::from_floats([[0.5, -1.0, 2.0, 0.25]], &device);
                let logits = head.forward(hidden);
                read(gradients(&head, &mut (logits.clone() * logits).sum().backward()))
            };
            let found = gradients_of(copy);
            assert_eq!(found, gradients_of(as_leaves(head)));
            assert!(found.iter().all(|own| own.iter().any(|number| *number != 0.0)));
        }
    }
}
