//! A piece of a product in the tiles of AMX-BF16.
//!
//! A tile is a register of 16 rows of 64 bytes. One instruction multiplies a tile of 16 rows of 32 values by one of 32
//! rows of 16 columns, and adds the products to a tile of 16 x 16 sums. The compiler has no intrinsics for it that are
//! stable, so the whole loop is assembly: tiles are live inside one block only.

use std::{arch::asm, marker::PhantomData};

use super::{left::TILE_ROWS, lines::Line, piece::Piece, right::STEP};

/// What `ldtilecfg` reads: the sizes of the eight tiles.
#[repr(C, align(64))]
struct Sizes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// All tiles are whole: matrices are padded instead.
static WHOLE: Sizes = Sizes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// The tiles of this thread, configured until this is dropped. While they are not in use, the system saves nothing of
/// them when it switches between threads.
pub(super) struct Tiles {
    /// They are of one thread.
    of_thread: PhantomData<*const ()>,
}

impl Tiles {
    /// # Safety
    ///
    /// The machine has AMX-BF16, and the system lets this process use it.
    pub(super) unsafe fn configure() -> Self {
        // SAFETY: the 64 bytes are there, and valid: palette 1 has eight tiles of up to 16 rows of 64 bytes. Nothing
        // else in the process uses tiles, so that nothing is lost.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE, options(nostack, readonly, preserves_flags));
        }
        Self { of_thread: PhantomData }
    }

    /// Multiplies a piece.
    ///
    /// # Safety
    ///
    /// As [`Piece`] says.
    pub(super) unsafe fn multiply(&self, piece: &Piece<'_>) {
        let depth = piece.depth();
        assert!(depth > 0 && piece.right.len() >= depth * STEP);
        assert!(piece.left.iter().all(|tiles| tiles.len() >= depth * TILE_ROWS));
        // SAFETY: tiles are configured. Each step reads 16 lines of each left side and 32 of the right, which are
        // there as checked above; the results are the caller's promise.
        unsafe {
            match piece.left {
                [upper] => one_by_two(piece, upper, depth),
                [upper, lower] => two_by_two(piece, upper, lower, depth),
                _ => {}
            }
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: they were configured on this thread, which this value cannot leave.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

/// 32 rows of the result: four tiles of sums, two tiles of each side. With four sums at a time, each waits for none.
///
/// # Safety
///
/// As [`Tiles::multiply`], after its checks.
unsafe fn two_by_two(piece: &Piece<'_>, upper: &[Line], lower: &[Line], depth: usize) {
    let stride = piece.row_stride * size_of::<f32>();
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "test {accumulate:l}, {accumulate:l}",
            "jz 2f",
            "tileloadd tmm0, [{to} + {stride}]",
            "tileloadd tmm1, [{to} + {stride} + 64]",
            "tileloadd tmm2, [{below} + {stride}]",
            "tileloadd tmm3, [{below} + {stride} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm4, [{upper} + {line}]",
            "tileloadd tmm6, [{right} + {line}]",
            "tileloadd tmm7, [{right} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{lower} + {line}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, 1024",
            "add {lower}, 1024",
            "add {right}, 2048",
            "dec {depth}",
            "jnz 3b",
            "tilestored [{to} + {stride}], tmm0",
            "tilestored [{to} + {stride} + 64], tmm1",
            "tilestored [{below} + {stride}], tmm2",
            "tilestored [{below} + {stride} + 64], tmm3",
            accumulate = in(reg) u64::from(piece.accumulate),
            to = in(reg) piece.to,
            below = in(reg) piece.to.add(TILE_ROWS * piece.row_stride),
            stride = in(reg) stride,
            line = in(reg) size_of::<Line>(),
            upper = inout(reg) upper.as_ptr() => _,
            lower = inout(reg) lower.as_ptr() => _,
            right = inout(reg) piece.right.as_ptr() => _,
            depth = inout(reg) depth => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// 16 rows of the result.
///
/// # Safety
///
/// As [`Tiles::multiply`], after its checks.
unsafe fn one_by_two(piece: &Piece<'_>, upper: &[Line], depth: usize) {
    let stride = piece.row_stride * size_of::<f32>();
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "test {accumulate:l}, {accumulate:l}",
            "jz 2f",
            "tileloadd tmm0, [{to} + {stride}]",
            "tileloadd tmm1, [{to} + {stride} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "3:",
            "tileloadd tmm4, [{upper} + {line}]",
            "tileloadd tmm6, [{right} + {line}]",
            "tileloadd tmm7, [{right} + {line} + 1024]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {upper}, 1024",
            "add {right}, 2048",
            "dec {depth}",
            "jnz 3b",
            "tilestored [{to} + {stride}], tmm0",
            "tilestored [{to} + {stride} + 64], tmm1",
            accumulate = in(reg) u64::from(piece.accumulate),
            to = in(reg) piece.to,
            stride = in(reg) stride,
            line = in(reg) size_of::<Line>(),
            upper = inout(reg) upper.as_ptr() => _,
            right = inout(reg) piece.right.as_ptr() => _,
            depth = inout(reg) depth => _,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
