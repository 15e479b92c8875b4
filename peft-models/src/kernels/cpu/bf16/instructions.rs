//! Instructions that multiply bf16 and add in f32.

#[cfg(target_arch = "x86_64")]
use super::super::switch::levels_left_out;

/// How products of bf16 are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Instructions {
    /// In tiles: AMX-BF16.
    #[cfg(target_arch = "x86_64")]
    Amx,
    /// As dot products of pairs in vectors: AVX512-BF16.
    #[cfg(target_arch = "x86_64")]
    Pairs,
}

impl Instructions {
    /// All that the machine has, and that the system and `PEFT_KERNELS` grant, the fastest first.
    pub(in super::super) fn all_of_machine() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::{is_x86_feature_detected as has, sync::LazyLock};
            static FOUND: LazyLock<Vec<Instructions>> = LazyLock::new(|| {
                let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
                let allowed = levels_left_out() == 0;
                if !(allowed && wide && has!("avx512vl") && has!("avx512bf16")) {
                    return Vec::new();
                }
                let tiles = has_tiles() && system_grants_tiles();
                let amx = tiles.then_some(Instructions::Amx);
                amx.into_iter().chain([Instructions::Pairs]).collect()
            });
            &FOUND
        }
        #[cfg(not(target_arch = "x86_64"))]
        &[]
    }

    /// What processors call them.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => "AMX-BF16",
            #[cfg(target_arch = "x86_64")]
            Self::Pairs => "AVX512-BF16",
        }
    }

    /// The fastest that the machine has; `None` if it has none.
    pub(in super::super) fn of_machine() -> Option<Self> {
        Self::all_of_machine().first().copied()
    }
}

/// Whether the processor has tiles of bf16.
#[cfg(target_arch = "x86_64")]
fn has_tiles() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    let features = if __cpuid(0).eax >= 7 { __cpuid_count(7, 0).edx } else { 0 };
    features & AMX_BF16 != 0 && features & AMX_TILE != 0
}

/// Asks the system to let all threads of this process use tiles: Linux saves their 8 KB only for processes that ask.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn system_grants_tiles() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: this call takes two numbers and touches no memory of the process; a kernel that does not know it answers
    // with an error. The instruction overwrites rcx and r11.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Other systems are not asked.
#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn system_grants_tiles() -> bool {
    false
}
