//! Values that lie apart in a file, as those of a transposed matrix do, gathered in the order of their shape.
//!
//! They are read in the order of the file, in blocks: what is read of the file takes a megabyte beside the tensor, however
//! large the storage is that the tensor is a view of.

/// The most bytes that are read at once.
const BLOCK: usize = 1 << 20;

/// A block has at most so many values for each that is used; of values that lie further apart, each is read alone.
const MOST_BETWEEN: usize = 4;

/// One dimension: how many indices, and what one index more means in the file and in the result, in values.
#[derive(Clone, Copy, Debug)]
struct Side {
    count: usize,
    stride: usize,
    step: usize,
}

/// Values that are the product of some sides.
#[derive(Clone, Debug)]
struct Part {
    sides: Vec<Side>,
    /// The first value, in the file.
    from: usize,
    /// And in the result.
    to: usize,
}

impl Part {
    fn count(&self) -> usize {
        self.sides.iter().map(|side| side.count).product()
    }

    /// The values from the first to the last, with what lies between.
    fn span(&self) -> usize {
        self.sides.iter().map(|side| (side.count - 1) * side.stride).sum::<usize>() + 1
    }

    /// The two halves of its longest side in the file, in the order of the file.
    fn halves(&self) -> [Self; 2] {
        let divides = |side: &Side| if side.count > 1 { side.stride } else { 0 };
        let longest = (0..self.sides.len()).max_by_key(|at| divides(&self.sides[*at]));
        let mut halves = [self.clone(), self.clone()];
        if let Some(at) = longest {
            let Side { count, stride, step } = self.sides[at];
            halves[0].sides[at].count = count / 2;
            halves[1].sides[at].count = count - count / 2;
            halves[1].from += count / 2 * stride;
            halves[1].to += count / 2 * step;
        }
        halves
    }
}

/// Reads the values from `first` on, in the order of the shape, of a view whose first value is at byte `offset`: as many as
/// `into` has room for. `width` is the size of a value, 1, 2, 4 or 8 bytes; `read_at` reads bytes from a place on.
pub fn gather<E>(
    (shape, strides): (&[usize], &[usize]),
    (offset, width): (usize, usize),
    first: usize,
    into: &mut [u8],
    mut read_at: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut sides = Vec::with_capacity(shape.len());
    let mut step = 1;
    for (count, stride) in shape.iter().zip(strides).rev() {
        sides.push(Side { count: *count, stride: *stride, step });
        step *= count;
    }
    sides.reverse();
    let mut parts = Vec::new();
    cut(&sides, first, into.len() / width, (0, 0), &mut parts);
    // The next to read is the last.
    parts.reverse();
    let mut block = Vec::new();
    while let Some(part) = parts.pop() {
        let (count, span) = (part.count(), part.span());
        if count > 1 && (span > BLOCK / width || span / MOST_BETWEEN > count) {
            let [before, after] = part.halves();
            parts.extend([after, before]);
            continue;
        }
        block.resize(span * width, 0);
        read_at(offset + part.from * width, &mut block)?;
        let into = &mut into[part.to * width..];
        match width {
            1 => scatter::<1>(&part.sides, &block, 0, into, 0),
            2 => scatter::<2>(&part.sides, &block, 0, into, 0),
            4 => scatter::<4>(&part.sides, &block, 0, into, 0),
            _ => scatter::<8>(&part.sides, &block, 0, into, 0),
        }
    }
    Ok(())
}

/// Adds the parts that are `count` values from `first` on, of all those of `sides`, which begin at `from` in the file; the
/// first of the result goes `to` there.
fn cut(
    sides: &[Side],
    mut first: usize,
    mut count: usize,
    (from, mut to): (usize, usize),
    parts: &mut Vec<Part>,
) {
    if count == 0 {
        return;
    }
    let [side, inner @ ..] = sides else {
        parts.push(Part { sides: Vec::new(), from, to });
        return;
    };
    let of_index = side.step;
    // What is left of an index that is begun, whole ones, and what is begun of another.
    let begun = first % of_index;
    if begun > 0 {
        let rest = (of_index - begun).min(count);
        cut(inner, begun, rest, (from + first / of_index * side.stride, to), parts);
        (first, count, to) = (first + rest, count - rest, to + rest);
    }
    let (index, whole) = (first / of_index, count / of_index);
    if whole > 0 {
        let sides = [&[Side { count: whole, ..*side }], inner].concat();
        parts.push(Part { sides, from: from + index * side.stride, to });
    }
    let after = (from + (index + whole) * side.stride, to + whole * of_index);
    cut(inner, 0, count % of_index, after, parts);
}

/// Puts the values of `block` at their places in the result: those of `sides`, from the value `from` of the one and `to` of
/// the other on.
fn scatter<const W: usize>(sides: &[Side], block: &[u8], from: usize, into: &mut [u8], to: usize) {
    match sides {
        [] => into[to * W..(to + 1) * W].copy_from_slice(&block[from * W..(from + 1) * W]),
        [side] => {
            for index in 0..side.count {
                let (from, to) = ((from + index * side.stride) * W, (to + index * side.step) * W);
                into[to..to + W].copy_from_slice(&block[from..from + W]);
            }
        }
        [side, inner @ ..] => {
            for index in 0..side.count {
                let (from, to) = (from + index * side.stride, to + index * side.step);
                scatter::<W>(inner, block, from, into, to);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// The file's bytes from its byte `offset` on, and how many were read: in all, and at most at once.
    fn gathered(
        file: &[u8],
        view: (&[usize], &[usize]),
        (offset, width): (usize, usize),
        (first, count): (usize, usize),
    ) -> (Vec<u8>, usize, usize) {
        let (mut into, mut all, mut most) = (vec![0xAA; count * width], 0, 0);
        let read_at = |at: usize, into: &mut [u8]| -> Result<(), Infallible> {
            into.copy_from_slice(&file[at..at + into.len()]);
            (all, most) = (all + into.len(), most.max(into.len()));
            Ok(())
        };
        gather(view, (offset, width), first, &mut into, read_at).unwrap();
        (into, all, most)
    }

    proptest! {
        #[test]
        fn any_part_of_any_view_is_what_its_indices_say(
            sides in prop::collection::vec((1usize..6, 0usize..40), 0..5),
            width in prop::sample::select(vec![1usize, 2, 4, 8]),
            offset in 0usize..9,
            ends in (0.0f64..=1.0, 0.0f64..=1.0),
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
            let all: usize = shape.iter().product();
            let [one, other] = [ends.0, ends.1].map(|end| (end * all as f64) as usize);
            let (first, last) = (one.min(other), one.max(other));
            let span: usize = shape.iter().zip(&strides).map(|(n, stride)| (n - 1) * stride).sum();
            let file: Vec<u8> = (0..offset + (span + 1) * width).map(|at| (at * 7 + at / 256) as u8).collect();
            let mut expected: Vec<u8> = Vec::new();
            for index in first..last {
                let (mut rest, mut place) = (index, 0);
                for (size, stride) in shape.iter().zip(&strides).rev() {
                    place += rest % size * stride;
                    rest /= size;
                }
                let at = offset + place * width;
                expected.extend(&file[at..at + width]);
            }
            let (found, ..) =
                gathered(&file, (&shape, &strides), (offset, width), (first, last - first));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_transposed_matrix_is_read_once_in_blocks() {
        const ROWS: usize = 1500;
        let file: Vec<u8> = (0..ROWS * ROWS).flat_map(|at| (at as f32).to_le_bytes()).collect();
        let view = (&[ROWS, ROWS][..], &[1, ROWS][..]);
        let (found, all, most) = gathered(&file, view, (0, 4), (0, ROWS * ROWS));
        assert!(all <= file.len() && most <= BLOCK, "{all} of {}, {most} at once", file.len());
        let at = |row: usize, column: usize| (column * ROWS + row) as f32;
        let place = 4 * (7 * ROWS + 1201);
        assert_eq!(found[place..place + 4], at(7, 1201).to_le_bytes());
        // A part of one of its rows is a value of each row of the file: no more is read.
        let (found, all, most) = gathered(&file, view, (0, 4), (7 * ROWS + 200, 1024));
        assert_eq!((all, most), (4096, 4));
        assert!(
            found.chunks(4).zip(200..).all(|(value, column)| value == at(7, column).to_le_bytes())
        );
    }

    #[test]
    fn a_failure_to_read_ends_it() {
        let mut reads = 0;
        let fails = |_: usize, _: &mut [u8]| {
            reads += 1;
            Err("gone")
        };
        let found = gather((&[4, 4], &[100, 20]), (0, 4), 0, &mut [0; 64], fails);
        assert_eq!((found, reads), (Err("gone"), 1));
    }
}
