//! The few lengths that batches have on a device which compiles and chooses its kernels by the sizes of what they multiply.

use super::{batch::TokenBatch, frozen::FrozenModel, spec::Side, virtual_tokens::VirtualTokens};

/// Batches are padded to a multiple of so many tokens: the side of the tiles that tensor cores multiply.
///
/// CubeCL tells kernels apart by sizes rounded up to powers of two, and also by the largest power of two that divides the
/// length of a row of scores, P + T: lengths one by one have a key for each of these, multiples few. Larger multiples save
/// few more, and make short rows several times as long.
pub const LENGTH_MULTIPLE: usize = 16;

/// Pads a batch, on the side of its padding, to a multiple of [`LENGTH_MULTIPLE`], if the model
/// [tunes its kernels to shapes](FrozenModel::tunes_to_shapes); so are the rows of its decoder. Nothing reads what is added:
/// it is masked and has no target.
///
/// Rows are not made longer than the positions that `virtual_tokens` leave in the model. Packed rows may be, as each of
/// their examples has the positions to itself.
#[must_use]
pub fn to_few_lengths<M: FrozenModel + ?Sized>(
    batch: TokenBatch,
    model: &M,
    virtual_tokens: &VirtualTokens,
) -> TokenBatch {
    if !model.tunes_to_shapes() {
        return batch;
    }
    let spec = model.spec();
    let length = |batch: &TokenBatch, side: Side| {
        let taken = virtual_tokens.positions_taken(side, spec.is_encoder_decoder());
        let taken = taken.into_iter().max().unwrap_or_default();
        let most = match spec.positions(side).filter(|_| batch.blocks().is_none()) {
            Some(positions) => positions.saturating_sub(taken),
            None => usize::MAX,
        };
        batch.len().next_multiple_of(LENGTH_MULTIPLE).min(most)
    };
    let own = length(&batch, Side::Encoder);
    let decoder = batch.decoder().map(|rows| rows.clone().padded_to(length(rows, Side::Decoder)));
    let batch = batch.padded_to(own);
    match decoder {
        Some(decoder) => batch.with_decoder(decoder),
        None => batch,
    }
}
