//! What panics and errors say of memory that a device lacks.

/// Whether a panic or an error is about memory that a device lacks. Burn, CubeCL, wgpu and CUDA have no common type for it, and none
/// that reaches a caller: only their texts do.
pub fn is_told_by(panicked: &str) -> bool {
    const TELLS: [&str; 6] = [
        // CubeCL: an allocation, and a launch.
        "out of device memory",
        "out-of-memory error",
        // CubeCL: more at once than the device ever gives.
        "can't allocate buffer of size",
        "every page size the memory tracks still holds live allocations",
        // wgpu.
        "wgpu error: Out of Memory",
        // CUDA.
        "CUDA_ERROR_OUT_OF_MEMORY",
    ];
    TELLS.into_iter().any(|tells| panicked.contains(tells))
}

/// Whether a panic says only that CubeCL's thread of a device has ended: why, an earlier one says.
pub fn ends_a_thread(panicked: &str) -> bool {
    panicked.contains("device runner channel disconnected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_panics() {
        for text in [
            "Error while reading data: Caused by: out of device memory allocating 4096 bytes",
            "An out-of-memory error happened during launch\nCaused by:\n  x",
            "wgpu error: Out of Memory",
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "can't allocate buffer of size: 99999999999",
        ] {
            assert!(is_told_by(text), "{text}");
        }
        for text in ["index out of bounds", "wgpu error: Validation Error", "memory"] {
            assert!(!is_told_by(text), "{text}");
        }
    }
}
