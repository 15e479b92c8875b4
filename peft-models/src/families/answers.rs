//! What models answer by the fields that they have: of any family, and of decoders.

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

/// The methods of [`FrozenModel`](peft_core::FrozenModel) that `head`, the language-model head, and `classifier` of a decoder
/// answer, each where its checkpoint has one; and the layout of a classifier for a task, by a function.
macro_rules! answers_of_heads {
    ($layout:path) => {
        fn has_lm_head(&self) -> bool {
            self.head.is_some()
        }

        fn lm_logits(
            &self,
            hidden: burn::tensor::Tensor<2>,
        ) -> peft_core::Result<burn::tensor::Tensor<2>> {
            Ok($crate::families::heads::lm_head(&self.head, &self.spec)?.forward(hidden))
        }

        fn lm_cross_entropy(
            &self,
            hidden: burn::tensor::Tensor<2>,
            targets: &[usize],
            label_smoothing: f64,
        ) -> peft_core::Result<burn::tensor::Tensor<1>> {
            let head = $crate::families::heads::lm_head(&self.head, &self.spec)?;
            head.cross_entropy(hidden, targets, label_smoothing)
        }

        fn classifier(&self) -> Option<&peft_core::Head> {
            self.classifier.as_ref()
        }

        fn head_layout(&self, task: peft_core::Task) -> peft_core::HeadLayout {
            $layout(task)
        }
    };
}
pub(super) use answers_of_heads;
