"""How the networks are trained: the section ``train`` of ``params.yaml``."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from solos.config.section import Count, Fraction, Positive, Section


class StepSchedule(Section):
    """Learning rates multiplied by ``gamma`` at each milestone (epochs)."""

    kind: Literal["step"]
    milestones: list[Count]
    gamma: Fraction

    @model_validator(mode="after")
    def _ascending(self):
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError("milestones must ascend")
        return self


class PlateauSchedule(Section):
    """Learning rates multiplied by ``factor`` on plateaus of the validation loss."""

    kind: Literal["plateau"]
    patience: Annotated[int, Field(ge=0)]
    """Epochs in a row without an improvement of one part in 10,000 that are let pass (torch's)."""
    factor: Fraction


class CosineSchedule(Section):
    """Learning rates that fall to nothing over all epochs, by half a cosine."""

    kind: Literal["cosine"]


class Curriculum(Section):
    """Most sources of a mix, which has 2 to that many: ``start`` at first, raised by one on a
    plateau, up to ``stop``.

    The plateau schedule of a recipe with a curriculum waits for its end: it counts those epochs
    alone in which the number is ``stop`` and more than ``patience`` have brought nothing.
    """

    start: Annotated[int, Field(ge=2)]
    stop: Annotated[int, Field(ge=2, le=13)]
    patience: Annotated[int, Field(ge=0)]
    """Epochs in a row without improvement that are let pass: the next one raises the maximum."""
    min_delta: Annotated[float, Field(ge=0)]
    """What counts as an improvement of the validation loss."""

    @model_validator(mode="after")
    def _upwards(self):
        if self.stop < self.start:
            raise ValueError("stop must not be below start")
        return self


class Recipe(Section):
    """What training any network has in common."""

    epochs: Count
    channels: Annotated[list[Count], Field(min_length=3, max_length=8)]
    """Channels of the U-Net's down blocks."""
    batch_size: Count
    """Mixes of a step; those of an epoch that fill no batch are left out."""
    norm_batch: Count | None
    """Mixes over which batch norm takes its statistics: a batch is computed in such parts, as on
    several GPUs or where memory is short; null for the whole batch."""
    val_mixes: Count
    optimizer: Literal["sgd", "adam"]
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Annotated[
        StepSchedule | PlateauSchedule | CosineSchedule, Field(discriminator="kind")
    ]
    workers: Annotated[int, Field(ge=0)]
    """Data-loading processes, for each training process."""
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "tf32", "bfloat16"]
    """tf32: a GPU's convolutions round to 10 bits. bfloat16: mixed, by autocast; weights and their
    updates stay float32."""
    channels_last: bool
    """Memory layout of convolutions."""
    compile: bool
    """Whether torch.compile is used."""

    @model_validator(mode="after")
    def _parts(self):
        if self.norm_batch and self.batch_size % self.norm_batch:
            raise ValueError("norm_batch must divide batch_size")
        return self


class SopRecipe(Recipe):
    """As Sound of Pixels (Zhao et al., 2018): players told apart by sight, binary masks."""

    recipe: Literal["sop"]
    mixes_per_recording: Count
    """Mixes an epoch for each training recording."""
    components: Count
    """Channels between the video network and the audio network (K)."""
    frames: Count
    """Pictures of each source."""
    frame_stride: Count
    """Pictures (at 8 fps) between them."""
    image_size: Annotated[int, Field(ge=32)]
    """Side of the square crop, pixels."""
    trunk_weights: Literal["imagenet", "random"]
    """Start of the ResNet when training from scratch."""
    init_std: Positive
    """Standard deviation of the start weights of the audio network's convolutions."""
    lr_trunk: Positive
    """Learning rate of the ResNet's trunk."""
    n_src: Annotated[int, Field(ge=2)]
    gain: Annotated[list[Positive], Field(min_length=2, max_length=2)]
    """Range of each source's gain."""
    targets: Literal["half", "dominance"]
    """What a source's binary mask is 1 for: more than half the mixture's magnitude, or more than
    any other source's."""

    @model_validator(mode="after")
    def _range(self):
        if self.gain[0] > self.gain[1]:
            raise ValueError("gain must be [lowest, highest]")
        return self


class Mixing(Section):
    """How mixes of samples vary, and are nearer to music than recordings drawn one by one."""

    together: Annotated[float, Field(ge=0, le=1)]
    """Share of the mixes that take what an ensemble plays together, where there are ensembles."""
    doubled: Annotated[float, Field(ge=0, lt=1)]
    """Share of the sources that are two recordings of their instrument."""
    level: Annotated[float, Field(ge=0)]
    """Standard deviation of a recording's level, dB."""
    colour: Annotated[float, Field(ge=0)]
    """Standard deviation of a source's gain over frequency, dB: of its points, an octave apart."""


class MhuRecipe(Recipe):
    """As the Multi-Head U-Net: a mask for each instrument, a curriculum."""

    recipe: Literal["mhunet"]
    train_mixes: Count
    """Mixes an epoch."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    curriculum: Curriculum
    mixing: Mixing | None = None  # networks that were exported before have none
    """Mixes of samples, and the negative SDR of what plays for a loss; null for those of the paper:
    a recording an instrument, all as loud, and the squared error of ratio masks."""
    validation: Literal["current", "last"]
    """Mixes drawn anew for each epoch with the curriculum's current number of sources, or the same
    ones throughout, with its last number, so that the losses of all epochs can be compared."""
    export: Literal["last", "best"]
    """Weights of the last epoch, or of the lowest validation loss (with validation ``current``, of
    the highest number of sources)."""


class InformedRecipe(Recipe, Mixing):
    """A network that is told which instruments may play, trained for SDR itself."""

    recipe: Literal["informed"]
    train_mixes: Count
    """Mixes an epoch."""
    n_src: Annotated[list[Annotated[int, Field(ge=2, le=13)]], Field(min_length=2, max_length=2)]
    """Fewest and most instruments of a mix."""
    untold: Annotated[float, Field(ge=0, lt=1)]
    """Share of the mixes in which the network is told that all instruments may play."""

    @model_validator(mode="after")
    def _range(self):
        if self.n_src[0] > self.n_src[1]:
            raise ValueError("n_src must be [fewest, most]")
        return self


AnyRecipe = Annotated[SopRecipe | MhuRecipe | InformedRecipe, Field(discriminator="recipe")]


class Train(Section):
    """The recipe of each network that is trained; others than the paper's under their own names.

    ``music`` is Sound of Pixels' own training on MUSIC.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AnyRecipe]
    sop: SopRecipe | None = None
    music: SopRecipe | None = None
    mhunet: MhuRecipe | None = None
    informed: InformedRecipe | None = None
