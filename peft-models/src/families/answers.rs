//! What a model of any family answers by the fields that all of them have.

/// The methods of [`FrozenModel`](peft_core::FrozenModel) that `spec`, `word` and `recompute` answer, and the tensors that are
/// listed by [`named_tensors`](crate::named_tensors).
macro_rules! answers_of_fields {
    () => {
        fn spec(&self) -> &peft_core::ModelSpec {
            &self.spec
        }

        fn device(&self) -> burn::tensor::Device {
            self.word.device()
        }

        fn lanes(&self) -> &dyn peft_core::Lanes {
            $crate::kernels::lanes(&self.device())
        }

        fn reads_wait(&self) -> bool {
            $crate::kernels::unavailable(&self.device()).is_some()
        }

        fn tunes_to_shapes(&self) -> bool {
            $crate::kernels::unavailable(&self.device()).is_some()
        }

        fn scales_loss(&self) -> bool {
            self.word.scales_loss()
        }

        fn recomputes(&self) -> bool {
            self.recompute && $crate::kernels::unavailable(&self.device()).is_some()
        }

        fn tensors(&self) -> peft_core::NamedTensors {
            $crate::named_tensors::CollectTensors::named_tensors(self)
        }
    };
}
pub(super) use answers_of_fields;
