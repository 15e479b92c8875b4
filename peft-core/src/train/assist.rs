//! The part of a process that does not lead a run on several: it computes its slices of each step.

use super::{
    config::TrainConfig,
    group::{Command, Group},
    joint::Joint,
    run_context::RunContext,
    shared_sums::{as_told, shared_sums},
    step_slices::OnDevice,
    team::Team,
    trainable::Trainable,
    trainer::Trainer,
    training_data::TrainingData,
};
use crate::{
    contract::{
        frozen::FrozenModel,
        method::{Mode, PeftMethod},
    },
    error::{Error, Result},
};

/// Assists a run that the process of rank 0 leads by [`train`](super::train), until that has ended. All arguments are those of
/// rank 0, of [`RunContext`] those that say something of the run: this process writes nothing, and has no folder. What
/// `trainable` holds is replaced by what rank 0 trains; only its sizes count.
///
/// # Errors
///
/// As for [`train`](super::train). An error of this process ends the run for all; [`Error::Peer`] is for one of another.
pub fn assist<M: PeftMethod>(
    model: &dyn FrozenModel,
    trainable: &Trainable<M>,
    data: &TrainingData<'_>,
    config: &TrainConfig,
    run: &RunContext,
) -> Result<()> {
    follow(Trainer::of_one(model, trainable, data, config, run), run, model, trainable)
}

/// Assists a run that the process of rank 0 leads by [`train_joint`](super::train_joint), as [`assist`] does.
///
/// # Errors
///
/// As for [`assist`].
pub fn assist_joint<M: PeftMethod>(
    model: &dyn FrozenModel,
    trainable: &Trainable<M>,
    joint: &Joint<'_>,
    run: &RunContext,
) -> Result<()> {
    follow(Trainer::of_several(model, trainable, joint, run), run, model, trainable)
}

/// Does what rank 0 tells.
fn follow<'a, M: PeftMethod>(
    trainer: Result<Trainer<'a>>,
    run: &RunContext,
    model: &'a dyn FrozenModel,
    trainable: &Trainable<M>,
) -> Result<()> {
    let Some(peers) = run.peers.as_deref().filter(|peers| peers.rank() > 0) else {
        return Err(Error::setting(
            "peers",
            "expected those of a rank above 0: rank 0 leads the run",
        ));
    };
    let group = Group::new(peers);
    let own = trainer.and_then(|trainer| {
        let identity = trainer.identity_with_weights()?;
        Ok((identity, (sizes(model, trainable)?, trainer)))
    });
    let (own, mut trainer) = group.agree(own)?;
    let team = Team::alone(model, trainer.frozen.train.clone());
    loop {
        match group.hear()? {
            (Command::Step { step, loss_scale }, numbers) => {
                let told = as_told(&own, numbers, loss_scale)?;
                let shares = trainer.shares(step);
                shared_sums(&group, &team, &shares, &told)?;
            }
            (Command::End(None), _) => return Ok(()),
            (Command::End(Some(message)), _) => return Err(group.failed(0, message)),
        }
    }
}

/// Virtual tokens and heads as they are in every step, but for their values and the factor of the loss.
fn sizes<M: PeftMethod>(model: &dyn FrozenModel, trainable: &Trainable<M>) -> Result<OnDevice> {
    let virtual_tokens = trainable.method.virtual_tokens(Mode::Evaluate);
    let virtual_tokens = model.prefill(&virtual_tokens.cast(model.spec().dtype))?;
    Ok(OnDevice {
        virtual_tokens: virtual_tokens.without_autodiff(),
        heads: trainable.heads().map(|head| head.cloned()).collect(),
        loss_scale: None,
    })
}
