//! The row of all numbers of a step's gradients, and the section of it that a process adds up.

use std::ops::Range;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::{
    exchange::Flat,
    step_slices::{OnDevice, Sums},
};
use crate::contract::params;

/// Where the tensors of virtual tokens and heads are in the row of all their numbers.
pub(super) struct Layout {
    /// The numbers of each tensor.
    pub(super) tensors: Vec<Range<usize>>,
    /// The tensors of the virtual tokens.
    pub(super) of_tokens: Range<usize>,
    /// Those of each head.
    pub(super) of_heads: Vec<Range<usize>>,
    /// The types in which gradients are added.
    dtypes: Vec<DType>,
}

/// The sums of a section of all numbers.
pub(super) struct Section {
    /// Which of all numbers these are.
    pub(super) range: Range<usize>,
    /// The sums.
    pub(super) numbers: Vec<f32>,
    /// Whether a slice had a gradient of the tensor, anywhere.
    pub(super) has: Vec<bool>,
}

impl Layout {
    /// Of what a step is computed with.
    pub(super) fn of(own: &OnDevice) -> Self {
        let (mut tensors, mut dtypes, mut end) = (Vec::new(), Vec::new(), 0);
        let mut place = |size: usize, dtype: DType| {
            tensors.push(end..end + size);
            dtypes.push(dtype);
            end += size;
        };
        let tokens = own.virtual_tokens.values();
        // As `take_gradients` makes them.
        tokens.iter().for_each(|values| place(values.dims()[0], DType::F32));
        let of_tokens = 0..tokens.len();
        let mut of_heads = Vec::with_capacity(own.heads.len());
        let mut first = of_tokens.end;
        for head in &own.heads {
            let values = head.as_ref().map(params::values).unwrap_or_default();
            values.iter().for_each(|flat| place(flat.values.dims()[0], flat.values.dtype()));
            of_heads.push(first..first + values.len());
            first += values.len();
        }
        Self { tensors, of_tokens, of_heads, dtypes }
    }

    /// The section of a rank.
    pub(super) fn section(&self, rank: usize, size: usize) -> Range<usize> {
        let all = self.tensors.last().map_or(0, |last| last.end);
        all * rank / size..all * (rank + 1) / size
    }

    /// All sums as tensors, out of all numbers and which tensors have any. Of a process that has not got them, none.
    pub(super) fn sums(&self, whole: &[f32], has: &[bool], home: &Device) -> Sums {
        let sum = |place: usize| -> Option<Tensor<1>> {
            let numbers = whole.get(self.tensors[place].clone())?;
            has[place].then(|| tensor(numbers.to_vec(), home, self.dtypes[place]))
        };
        let flat = |places: Range<usize>| -> Flat {
            match places.clone().any(|place| has[place]) {
                true => places.map(sum).collect(),
                false => Flat::new(),
            }
        };
        Sums {
            labelled: 0,
            of_slices: Vec::new(),
            of_tokens: flat(self.of_tokens.clone()),
            of_heads: self.of_heads.iter().cloned().map(flat).collect(),
        }
    }
}

impl Section {
    /// Sums of nothing yet.
    pub(super) fn new(range: Range<usize>, tensors: usize) -> Self {
        Self { numbers: vec![0.0; range.len()], range, has: vec![false; tensors] }
    }

    /// Adds what a slice has of a tensor, at `within` among all numbers. The first is taken as it is, with its sign if it is 0.
    pub(super) fn add(&mut self, place: usize, within: Range<usize>, numbers: &[f32]) {
        let had = std::mem::replace(&mut self.has[place], true);
        if within.is_empty() {
            return;
        }
        let own = &mut self.numbers[within.start - self.range.start..within.end - self.range.start];
        match had {
            false => own.copy_from_slice(numbers),
            true => own.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number),
        }
    }
}

/// The part of a tensor that is in a section, among all numbers; empty, at an end of the tensor, if there is none.
pub(super) fn within(tensor: &Range<usize>, section: &Range<usize>) -> Range<usize> {
    let start = section.start.clamp(tensor.start, tensor.end);
    start..section.end.clamp(start, tensor.end)
}

/// A tensor of these numbers.
pub(super) fn tensor(numbers: Vec<f32>, device: &Device, dtype: DType) -> Tensor<1> {
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), (device, dtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_every_number_once_in_order() {
        for (sizes, processes) in
            [(&[3, 0, 5, 1][..], 1), (&[3, 0, 5, 1], 2), (&[3, 0, 5, 1], 4), (&[2], 5), (&[], 3)]
        {
            let mut end = 0;
            let tensors = sizes.iter().map(|size| {
                end += size;
                end - size..end
            });
            let tensors: Vec<Range<usize>> = tensors.collect();
            let count = tensors.len();
            let layout = Layout {
                tensors,
                of_tokens: 0..count,
                of_heads: vec![],
                dtypes: vec![DType::F32; count],
            };
            let sections: Vec<Range<usize>> =
                (0..processes).map(|rank| layout.section(rank, processes)).collect();
            assert_eq!(
                sections.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..end).collect::<Vec<_>>()
            );
            for tensor in &layout.tensors {
                let parts = sections.iter().flat_map(|section| within(tensor, section));
                assert_eq!(parts.collect::<Vec<_>>(), tensor.clone().collect::<Vec<_>>());
            }
        }
    }

    /// A sum begins with the first number, not with 0: with that, -0 would be lost.
    #[test]
    fn what_a_section_adds_is_added_in_order() {
        let mut section = Section::new(2..5, 2);
        section.add(0, 2..4, &[-0.0, 1e8]);
        section.add(0, 2..4, &[-0.0, 1.0]);
        section.add(0, 2..4, &[-0.0, -1e8]);
        assert_eq!(section.has, [true, false]);
        // A tensor of which this section has nothing.
        section.add(1, 9..9, &[]);
        assert_eq!(
            (section.has, section.numbers[0].to_bits()),
            (vec![true; 2], (-0.0f32).to_bits())
        );
        assert_eq!(section.numbers[1..], [0.0, 0.0]);
    }
}
