//! What devices exchange in a step: gradients of the virtual tokens and of heads, summed.

use burn::tensor::{Device, Tensor};

/// Gradients of some tensors, flat; `None` for one that the loss does not depend on.
pub(super) type Flat = Vec<Option<Tensor<1>>>;

/// The sum of tensors of one shape, on the device of each of them.
///
/// It is the signature of `Tensor::all_reduce` in Burn 0.23. Here the sum is made on the device of the first, in the order
/// given, so that it has the same bits wherever they come from.
pub(super) fn all_reduce(parts: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    let devices: Vec<Device> = parts.iter().map(Tensor::device).collect();
    let Some(home) = devices.first() else { return Vec::new() };
    let sum = parts.into_iter().map(|part| to(part, home)).reduce(|sum, part| sum + part);
    let on = |device| sum.clone().map(|sum| to(sum, device));
    devices.iter().filter_map(on).collect()
}

/// The tensor on a device, where it may be already.
pub(super) fn to(tensor: Tensor<1>, device: &Device) -> Tensor<1> {
    if tensor.device() == *device { tensor } else { tensor.to_device(device) }
}

/// Adds gradients to the sum of those before them, in their order. They are all on one device.
pub(super) fn add(sum: &mut Flat, parts: Vec<Flat>) {
    let tensors = parts.iter().map(Vec::len).max().unwrap_or(0);
    sum.resize(tensors.max(sum.len()), None);
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    for sum in sum.iter_mut() {
        let own = parts.iter_mut().filter_map(|part| part.next().flatten());
        let all: Vec<Tensor<1>> = sum.take().into_iter().chain(own).collect();
        *sum = all_reduce(all).into_iter().next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: [f32; 2]) -> Tensor<1> {
        Tensor::from_floats(values, &Device::default())
    }

    fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().iter().collect()
    }

    #[test]
    fn each_gets_the_sum_in_the_order_of_all() {
        assert!(all_reduce(Vec::new()).is_empty());
        // Of f32, 1e8 + 1 is 1e8: the order can be seen.
        let parts = [[1e8, 1.0], [1.0, 2.0], [-1e8, 3.0]];
        let found = all_reduce(parts.map(tensor).to_vec());
        assert_eq!(found.iter().map(numbers).collect::<Vec<_>>(), [[0.0, 6.0]; 3]);
    }

    #[test]
    fn gradients_are_added_where_there_are_any() {
        let mut sum = Flat::new();
        add(&mut sum, vec![vec![None, Some(tensor([1.0, 0.0]))]]);
        add(&mut sum, vec![vec![None, None], vec![None, Some(tensor([2.0, 3.0]))]]);
        assert!(sum.len() == 2 && sum[0].is_none());
        assert_eq!(sum[1].as_ref().map(numbers), Some(vec![3.0, 3.0]));
        // No parameters at all.
        let mut none = Flat::new();
        add(&mut none, vec![Flat::new()]);
        assert!(none.is_empty());
    }
}
