use burn::tensor::{DType, Device, Int, Tensor, activation::softmax};
use peft_core::{
    FrozenModel, LayerKeyValues, ModelSpec, Result, Site, SiteSpec, StackInput, StackOutput,
    Topology,
    contract::{
        init::{Distribution, tensor},
        rng,
    },
};

/// Two pre-norm attention layers, 2 heads of size 6, H = 16, V = 13.
#[derive(Debug)]
struct Block {
    spec: ModelSpec,
    tokens: Tensor<2>,           // [V, H]
    positions: Tensor<2>,        // [32, H]
    layers: Vec<[Tensor<2>; 4]>, // weights of query, key, value and output
}

impl Block {
    fn new(device: &Device) -> Self {
        let mut rng = rng::stream(1, 0, "block");
        let mut draw = |shape| tensor(shape, Distribution::Normal { std: 0.3 }, &mut rng, device);
        Self {
            tokens: draw([13, 16]),
            positions: draw([32, 16]),
            layers: (0..2)
                .map(|_| [[16, 12], [16, 12], [16, 12], [12, 16]].map(&mut draw))
                .collect(),
            spec: ModelSpec {
                model_type: "block".into(),
                topology: Topology::DecoderOnly,
                hidden_size: 16,
                vocab_size: 13,
                sites: vec![SiteSpec {
                    site: Site::DecoderSelf,
                    num_layers: 2,
                    num_heads: 2,
                    num_kv_heads: 2,
                    head_dim: 6,
                }],
                max_positions: Some(32),
                max_decoder_positions: None,
                dtype: DType::F32,
            },
        }
    }
}

impl FrozenModel for Block {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        self.tokens.device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [b, t] = ids.dims();
        self.tokens.clone().select(0, ids.reshape([b * t])).reshape([b, t, 16])
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        let [b, s, h] = input.embeddings.dims();
        let positions = input.positions.clone().reshape([b * s]);
        let positions = self.positions.clone().select(0, positions).reshape([b, s, h]);
        let mut rows = input.embeddings.clone() + positions;
        for (layer, [query, key, value, output]) in self.layers.iter().cloned().enumerate() {
            let centred = rows.clone() - rows.clone().mean_dim(2);
            let variance = centred.clone().square().mean_dim(2);
            let normed = centred / (variance + 1e-5).sqrt();
            let heads = |weight: Tensor<2>| {
                let projected = normed.clone().matmul(weight.unsqueeze());
                projected.reshape([b, s, 2, 6]).swap_dims(1, 2)
            };
            // In generation, those of the tokens read before come with them.
            let own = LayerKeyValues { key: heads(key), value: heads(value) };
            let LayerKeyValues { key: mut keys, value: mut values } = input.keep(layer, own);
            // Keys and values of a method stand in front; one row of them may serve the batch.
            if let Some(past) = input.past(Site::DecoderSelf, layer) {
                let shape = [b, 2, past.key.dims()[2], 6];
                keys = Tensor::cat(vec![past.key.clone().expand(shape), keys], 2);
                values = Tensor::cat(vec![past.value.clone().expand(shape), values], 2);
            }
            let mut scores = heads(query).matmul(keys.swap_dims(2, 3)) / 6f64.sqrt();
            let shape = scores.dims();
            if let Some(hidden) = input.hidden_keys(shape[3]) {
                scores = scores.mask_fill(hidden.expand(shape), -1e9);
            }
            let mixed = softmax(scores, 3).matmul(values).swap_dims(1, 2).reshape([b, s, 12]);
            rows = rows + mixed.matmul(output.unsqueeze());
        }
        let tokens = input.tokens;
        Ok(StackOutput { hidden: rows, tokens, cross_key_values: Vec::new(), below: None })
    }

    fn has_lm_head(&self) -> bool {
        true
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        Ok(hidden.matmul(self.tokens.clone().transpose()))
    }
}
