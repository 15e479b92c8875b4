//! The frozen matrices of a layer side by side: multiplied in f32 where they lie, or as copies in bf16.

use std::{
    mem::MaybeUninit,
    ops::Range,
    sync::{Arc, OnceLock},
};

use super::{
    bf16::{self, Instructions, RightSide},
    block::Block,
    column_blocks::product_by_columns,
    frozen::{Factor, Frozen, backward_factors, factors_of_outputs, forward_factors},
    unwritten::Unwritten,
    view::MatrixView,
};
use crate::weights::Matrix;

/// Copies of a layer's matrices for products in bf16: one for each direction, made when it is first needed, by one thread
/// while others that need it wait.
#[derive(Clone, Debug)]
pub(crate) struct Bf16Copies {
    instructions: Instructions,
    copies: Arc<Copies>,
}

#[derive(Debug, Default)]
struct Copies {
    forward: OnceLock<RightSide>,
    backward: OnceLock<RightSide>,
}

impl Bf16Copies {
    /// Copies that are still to be made. `None` if the machine has no instructions for them.
    pub(crate) fn new() -> Option<Self> {
        Instructions::of_machine().map(Self::with)
    }

    /// For these instructions.
    pub(super) fn with(instructions: Instructions) -> Self {
        Self { instructions, copies: Arc::default() }
    }
}

/// The frozen matrices of a layer as kernels read them.
#[derive(Clone, Debug)]
pub(super) struct LayerWeights {
    matrices: Vec<Frozen>,
    copies: Option<Bf16Copies>,
}

impl LayerWeights {
    /// Weights `[out, in]`, whose outputs stand side by side. `None` if kernels cannot read one of them.
    pub(super) fn of(matrices: &[Matrix], copies: Option<&Bf16Copies>) -> Option<Self> {
        let matrices = matrices.iter().map(Frozen::of).collect::<Option<_>>()?;
        Some(Self { matrices, copies: copies.cloned() })
    }

    /// The right side of `x [W₁ᵀ | W₂ᵀ | ..]`.
    pub(super) fn forward(&self) -> Multiplier<'_> {
        let factors = || forward_factors(&self.matrices);
        self.multiplier(factors, |copies| &copies.forward)
    }

    /// The right side of its gradient, `dy₁ W₁ + dy₂ W₂ + ..`.
    pub(super) fn backward(&self) -> Multiplier<'_> {
        let factors = || backward_factors(&self.matrices);
        self.multiplier(factors, |copies| &copies.backward)
    }

    /// The right sides of some of the outputs of a single matrix, forward and, if it is needed, backward. A copy in bf16 is
    /// there for all of them.
    ///
    /// # Panics
    ///
    /// Panics if there are several matrices, or some of the outputs are asked of a copy.
    pub(super) fn outputs(
        &self,
        outputs: Range<usize>,
        backward: bool,
    ) -> (Multiplier<'_>, Option<Multiplier<'_>>) {
        let [matrix] = self.matrices.as_slice() else { panic!("outputs of several matrices") };
        if self.copies.is_some() {
            assert_eq!(outputs, 0..self.num_outputs(), "outputs of a copy");
            return (self.forward(), backward.then(|| self.backward()));
        }
        let [of_inputs, of_gradient] =
            factors_of_outputs(matrix, outputs).map(|factor| Multiplier::InPlace(vec![factor]));
        (of_inputs, backward.then_some(of_gradient))
    }

    /// Whether products are made with copies in bf16.
    pub(super) fn in_bf16(&self) -> bool {
        self.copies.is_some()
    }

    fn multiplier<'a>(
        &'a self,
        factors: impl Fn() -> Vec<Factor<'a>>,
        direction: impl Fn(&Copies) -> &OnceLock<RightSide>,
    ) -> Multiplier<'a> {
        match &self.copies {
            None => Multiplier::InPlace(factors()),
            // No other thread takes part in making a copy: it might wait for this copy itself.
            Some(Bf16Copies { instructions, copies }) => Multiplier::Bf16(
                *instructions,
                direction(copies).get_or_init(|| rounded(&factors())),
            ),
        }
    }

    /// How many outputs there are.
    pub(super) fn num_outputs(&self) -> usize {
        let factors = forward_factors(&self.matrices);
        factors.iter().map(|factor| factor.weight.num_columns()).sum()
    }

    /// The weights of one output, as products see them.
    pub(super) fn of_output(&self, output: usize) -> Vec<f32> {
        let mut scratch = Vec::new();
        let factors = forward_factors(&self.matrices);
        // The last one that begins at this output or before it.
        let own = factors.iter().rev().find(|factor| factor.column <= output);
        let column = own.map(|factor| {
            let within = output - factor.column;
            factor.weight.columns(within..within + 1, &mut scratch).elements().collect()
        });
        let mut column: Vec<f32> = column.unwrap_or_default();
        if self.copies.is_some() {
            column.iter_mut().for_each(|x| *x = bf16::round(*x));
        }
        column
    }

    /// The mean of the weights of all outputs, in f32.
    pub(super) fn mean_over_outputs(&self) -> Vec<f32> {
        let factors = backward_factors(&self.matrices);
        let inputs = factors.first().map_or(0, |factor| factor.weight.num_columns());
        let outputs = self.num_outputs();
        let mut mean = Unwritten::new(inputs);
        let each = vec![1.0 / outputs as f32; outputs];
        let each = MatrixView::by_rows(&each, 1, outputs, outputs);
        product_by_columns(mean.elements(), each, &factors, None, None);
        // SAFETY: the product wrote it.
        unsafe { mean.written() }
    }
}

/// Columns that are rounded at a time, at least.
const COLUMNS: usize = 64;

/// A copy in bf16 of several factors.
fn rounded(factors: &[Factor<'_>]) -> RightSide {
    let ends = factors.iter().map(|factor| {
        let weight = &factor.weight;
        [factor.depth + weight.num_rows(), factor.column + weight.num_columns()]
    });
    let [rows, columns] = ends.reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]).unwrap_or([0, 0]);
    let mut copy = RightSide::zeros(rows, columns);
    let mut scratch = Vec::new();
    for Factor { weight, depth, column } in factors {
        let step = weight.column_step().max(COLUMNS);
        for first in (0..weight.num_columns()).step_by(step) {
            let columns = first..weight.num_columns().min(first + step);
            copy.set(*depth, column + first, weight.columns(columns, &mut scratch));
        }
    }
    copy
}

/// The right side of a product.
pub(super) enum Multiplier<'a> {
    /// In f32, or upcast to it.
    InPlace(Vec<Factor<'a>>),
    /// In bf16.
    Bf16(Instructions, &'a RightSide),
}

impl Multiplier<'_> {
    pub(super) fn num_columns(&self) -> usize {
        match self {
            Self::InPlace(factors) => {
                let ends = factors.iter().map(|factor| factor.column + factor.weight.num_columns());
                ends.max().unwrap_or(0)
            }
            Self::Bf16(_, side) => side.num_columns(),
        }
    }

    /// `to [M, N] = start + a b` on all cores, all of it: see [`product_by_columns`].
    pub(super) fn product(
        &self,
        to: &mut [MaybeUninit<f32>],
        a: MatrixView<'_>,
        start: Option<&(dyn Fn(&Block) + Sync)>,
        finish: Option<&(dyn Fn(&Block) + Sync)>,
    ) {
        match self {
            Self::InPlace(factors) => product_by_columns(to, a, factors, start, finish),
            Self::Bf16(instructions, side) => {
                bf16::product(*instructions, to, a, side, start, finish);
            }
        }
    }
}
