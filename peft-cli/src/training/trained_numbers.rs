//! How many numbers a method trains.

use peft_core::{ModelSpec, SiteSpec};
use peft_prompt::EncoderConfig;

use crate::{flags::method_name::MethodName, settings::Settings};

/// How many numbers a method trains, at most: in all layers and at all sites.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trained {
    /// Those of P virtual tokens.
    pub(super) virtual_tokens: usize,
    /// Those of the MLP or the encoder that makes them, if there is one.
    pub(super) of_mlp: usize,
    /// The setting that makes it large, and its value.
    pub(super) size: (&'static str, usize),
}

impl Trained {
    /// Those of a method on a model, with P virtual tokens.
    pub(super) fn of(settings: &Settings, spec: &ModelSpec, method: MethodName, p: usize) -> Self {
        let width = match method {
            MethodName::Head => 0,
            MethodName::Prompt => spec.hidden_size,
            MethodName::Prefix | MethodName::Ptv2 => {
                spec.sites.iter().map(SiteSpec::prefix_width).sum()
            }
        };
        let virtual_tokens = p.saturating_mul(width);
        let encoder = settings.encoder().ok().flatten().filter(|_| method == MethodName::Prompt);
        if let Some(encoder) = encoder {
            let h = spec.hidden_size;
            let of_mlp = encoder.num_params(h);
            // Layers are many only where somebody asked for many.
            let is_deep = encoder.layers().0 > EncoderConfig::DEFAULT_NUM_LAYERS;
            let size = match is_deep {
                true => ("--encoder-num-layers", encoder.layers().0),
                false => ("--encoder-hidden-size", encoder.hidden_size(h)),
            };
            return Self { virtual_tokens, of_mlp, size };
        }
        let hidden = match settings.has_projection(method) {
            true => settings.prefix_hidden_size.unwrap_or(method.default_hidden_size()),
            false => 0,
        };
        let of_mlp = hidden.saturating_mul(width.saturating_add(spec.hidden_size));
        Self { virtual_tokens, of_mlp, size: ("--prefix-hidden-size", hidden) }
    }

    pub(super) fn total(self) -> usize {
        self.virtual_tokens.saturating_add(self.of_mlp)
    }

    /// Numbers of the virtual tokens that are made of them once a step: by an MLP or an encoder, or keys and values by a
    /// prompt on a decoder.
    pub(super) fn made(
        self,
        settings: &Settings,
        spec: &ModelSpec,
        method: MethodName,
        p: usize,
    ) -> usize {
        match method {
            MethodName::Prompt if spec.is_causal() => {
                spec.sites.iter().map(SiteSpec::prefix_width).sum::<usize>().saturating_mul(p)
            }
            MethodName::Prompt if self.of_mlp > 0 => self.virtual_tokens,
            _ if settings.has_projection(method) => self.virtual_tokens,
            _ => 0,
        }
    }

    /// Those whose gradients each slice of a batch has: of virtual tokens that nothing makes.
    pub(super) fn in_slices(self, made: usize) -> usize {
        if made == 0 { self.virtual_tokens } else { 0 }
    }
}
