//! The product of a build that has the operation for no backend.

use burn::tensor::{Device, Tensor};

use crate::weights::factor::Factor;

/// Whether the operation is there for `device`: it is not.
pub fn is_of(_: &Device) -> bool {
    false
}

/// By operations of Burn, which keep the wide matrix where x has a gradient.
pub fn run(x: Tensor<2>, factor: Factor) -> Tensor<2> {
    factor.multiply(x)
}
