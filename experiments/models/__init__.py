"""Everything that is stored, and its legal moves. Import the rows from here."""

from experiments.models.accounts import ProxyAccount
from experiments.models.artifacts import Artifact, ArtifactPiece
from experiments.models.cluster_objects import ClusterObject
from experiments.models.curves import Curve
from experiments.models.elsewhere import Ask, Creation, Loan
from experiments.models.many import change_trials
from experiments.models.mirrors import Mirror
from experiments.models.notices import Channel, Notice
from experiments.models.own_figures import OwnFigure
from experiments.models.project import Project
from experiments.models.release import Release
from experiments.models.saved_views import SavedView
from experiments.models.secrets import Secret
from experiments.models.state import (
    MAY_BE_BEST,
    Event,
    Experiment,
    Metric,
    Trial,
    new_experiment_id,
    new_seed,
    new_trial_key,
    raise_seq,
)
from experiments.models.tokens import ApiToken, SignInLink
from experiments.models.tracked import TrackedTrial
from experiments.models.uploads import Upload
from experiments.models.warm_starts import WarmStart

__all__ = [
    "MAY_BE_BEST",
    "ApiToken",
    "Artifact",
    "ArtifactPiece",
    "Ask",
    "Channel",
    "ClusterObject",
    "Creation",
    "Curve",
    "Event",
    "Experiment",
    "Loan",
    "Metric",
    "Mirror",
    "Notice",
    "OwnFigure",
    "Project",
    "ProxyAccount",
    "Release",
    "SavedView",
    "Secret",
    "SignInLink",
    "TrackedTrial",
    "Trial",
    "Upload",
    "WarmStart",
    "change_trials",
    "new_experiment_id",
    "new_seed",
    "new_trial_key",
    "raise_seq",
]
