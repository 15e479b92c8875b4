//! A tile of a product: a few rows and columns of the result, whose sums stay in registers while their terms pass.
//!
//! Each term is added in order, `sum = a b + sum`, fused where the machine can. So the bits of a sum depend on its
//! terms alone, on neither the size of the tile nor its place in the product.

use super::{
    ahead::{Ahead, TERMS, fetch_soon},
    simd::{Level, PORTABLE_FMA, mul_add},
};

/// The most rows that a tile has on any machine.
pub(super) const MOST_ROWS: usize = 12;
/// The most columns.
pub(super) const MOST_COLUMNS: usize = 32;

/// What a tile multiplies, and where the result goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// The first term of the first row.
    pub left: *const f32,
    /// From one row to the next, and from one term to the next.
    pub left_strides: [usize; 2],
    /// The first term of the first column; columns follow one another.
    pub right: *const f32,
    /// From one term to the next.
    pub right_stride: usize,
    /// Where the columns are laid out on the way, as in a [`Panel`](super::panel::Panel), for the tiles after this one.
    pub copy: Option<*mut f32>,
    /// How many terms a sum has.
    pub depth: usize,
    pub to: *mut f32,
    /// From one row of the result to the next.
    pub to_stride: usize,
    /// Whether the sums are added to what is there.
    pub accumulate: bool,
    /// Whether the sums go on from what is there: these terms follow others.
    pub resume: bool,
    /// What is fetched meanwhile.
    pub ahead: Ahead,
}

/// Tiles of as many columns, with the instructions of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    /// The most rows of a tile.
    pub rows: usize,
    /// The columns of a tile.
    pub columns: usize,
    multiply: unsafe fn(usize, &Tile),
}

impl Tiles {
    /// The widest of this machine; with AVX-512 those of half as many columns if a result has no more than that.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "one width there"))]
    pub(super) fn for_columns(columns: usize) -> Self {
        match Level::of_machine() {
            // 24 sums, 2 vectors of the right side and one value of the left: 27 registers of 32.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if columns > 16 => Self { rows: 12, columns: 32, multiply: avx512 },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Self { rows: 12, columns: 16, multiply: avx512_narrow },
            // 12 sums, 2 vectors and a value: 15 registers of 16.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Self { rows: 6, columns: 16, multiply: avx2 },
            Level::Portable => Self { rows: 6, columns: 8, multiply: portable },
        }
    }

    /// Multiplies a tile of so many rows.
    ///
    /// # Panics
    ///
    /// Panics if it has more than [`rows`](Self::rows), or none.
    ///
    /// # Safety
    ///
    /// All of its rows, columns and terms are in memory, those of the result are accessed by nobody else meanwhile, and
    /// they are initialised if they are added to or resumed. Where terms are copied, there is room for `depth` lines of 32
    /// that overlap nothing else.
    pub(super) unsafe fn multiply(&self, rows: usize, tile: &Tile) {
        assert!((1..=self.rows).contains(&rows), "rows of a tile");
        // SAFETY: the machine was asked where this was made; the rest is the caller's promise.
        unsafe { (self.multiply)(rows, tile) };
    }
}

/// A tile of M rows and N columns. Written so that the compiler keeps all sums in vector registers.
///
/// # Safety
///
/// As [`Tiles::multiply`].
#[inline(always)]
unsafe fn multiply<const FMA: bool, const M: usize, const N: usize, const COPY: bool>(tile: &Tile) {
    let [row, term] = tile.left_strides;
    let mut sums = [[0.0f32; N]; M];
    if tile.resume {
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: this row of the result belongs to the caller, and is initialised.
            *sums = unsafe { tile.to.add(i * tile.to_stride).cast::<[f32; N]>().read_unaligned() };
        }
    }
    let (mut left, mut right) = (tile.left, tile.right);
    let mut copy = tile.copy.unwrap_or(std::ptr::null_mut());
    let mut ahead = tile.ahead;
    for (index, first) in (0..tile.depth).step_by(TERMS).enumerate() {
        ahead.fetch();
        if index < M {
            // A row of the result, so that writing it does not wait.
            fetch_soon::<N>(tile.to.wrapping_add(index * tile.to_stride));
        }
        for _ in first..tile.depth.min(first + TERMS) {
            // SAFETY: this term of all columns and rows is in memory.
            let columns = unsafe { right.cast::<[f32; N]>().read_unaligned() };
            if COPY {
                // SAFETY: the panel has room for this term.
                unsafe { copy.cast::<[f32; N]>().write_unaligned(columns) };
                copy = copy.wrapping_add(MOST_COLUMNS);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let value = unsafe { *left.add(i * row) };
                for (sum, column) in sums.iter_mut().zip(&columns) {
                    *sum = mul_add::<FMA>(value, *column, *sum);
                }
            }
            // Beyond the last term they are not read.
            left = left.wrapping_add(term);
            right = right.wrapping_add(tile.right_stride);
        }
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: this row of the result belongs to the caller, and is initialised if it is read.
        unsafe {
            let to = tile.to.add(i * tile.to_stride).cast::<[f32; N]>();
            if tile.accumulate {
                let there = to.read_unaligned();
                sums.iter_mut().zip(there).for_each(|(sum, there)| *sum += there);
            }
            to.write_unaligned(*sums);
        }
    }
}

/// One function for all numbers of rows, each compiled for itself.
macro_rules! tiles {
    ($(#[$meta:meta])* $name:ident, $fma:expr, $columns:literal, $($rows:literal)+) => {
        /// # Safety
        ///
        /// As [`Tiles::multiply`], on a machine that has the instructions.
        $(#[$meta])*
        unsafe fn $name(rows: usize, tile: &Tile) {
            match (rows, tile.copy.is_none()) {
                // SAFETY: the caller's promise.
                $(($rows, true) => unsafe { multiply::<{ $fma }, $rows, $columns, false>(tile) },)+
                // SAFETY: as above.
                $(($rows, false) => unsafe { multiply::<{ $fma }, $rows, $columns, true>(tile) },)+
                _ => {}
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tiles! {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    avx512, true, 32, 1 2 3 4 5 6 7 8 9 10 11 12
}
#[cfg(target_arch = "x86_64")]
tiles! {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    avx512_narrow, true, 16, 1 2 3 4 5 6 7 8 9 10 11 12
}
#[cfg(target_arch = "x86_64")]
tiles! {
    #[target_feature(enable = "avx2,fma")]
    avx2, true, 16, 1 2 3 4 5 6
}
tiles! { portable, PORTABLE_FMA, 8, 1 2 3 4 5 6 }
