"""A policy training of a few seconds; as a script, in a process that a test can kill."""

import sys
from pathlib import Path

import numpy as np
import torch
from tiny_recipes import tiny_environment, tiny_networks, tiny_recipe

from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.judge import Judge
from adagen_rt.export.sections import RewardSection
from adagen_rt.models.classifier import Classifier
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.training.policy.evaluator import Evaluator
from adagen_rt.training.policy.parallel import Workers
from adagen_rt.training.policy.rewards import RewardContext, make_reward
from adagen_rt.training.policy.run import PolicyTrainer
from adagen_rt.training.policy.settings import AdversaryConfig, PolicyTraining

CONFIG = {
    "updates": 6,
    "warmup": 1,
    "trajectories": 20,
    "epochs": 2,
    "minibatch": 5,
    "learning_rate": 1e-3,
    "std_drops": (),
    "save_every": 1,
    "evaluate_every": 3,
}


def make_trainer(folder, resume=False, workers=None, adversary=None, **changes):
    """A trainer of a tiny MaskGIT's policy against a discriminator over random features."""
    torch.manual_seed(0)
    recipe = tiny_recipe("maskgit")
    networks = tiny_networks(recipe)
    environment = tiny_environment(recipe, networks)
    workers = workers or Workers()
    classifier = Classifier().eval()
    rng = np.random.default_rng(0)
    real = Images(rng.integers(0, 255, (40, 32, 32)).astype(np.uint8), np.arange(40) % 10)
    context = RewardContext(
        classifier,
        torch.from_numpy(real.pixels)[:, None],
        {"labels": torch.from_numpy(real.classes)},
        RewardSection(width=8),
        AdversaryConfig(batch_size=10, steps=2, **adversary or {}),
        workers=workers,
    )
    return PolicyTrainer(
        environment,
        PolicyNetwork(networks.policy.config),
        make_reward({"adversarial": 1.0, "classifier": 0.1}, context),
        PolicyTraining(**CONFIG | changes),
        folder,
        evaluator=Evaluator(environment, Judge(classifier, real), count=10),
        resume=resume,
        workers=workers,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    with Workers.connected() as here:
        trainer = make_trainer(target, workers=here)
        trainer.run()
        torch.save(trainer.policy.state_dict(), target / f"rank{here.rank}.pt")
