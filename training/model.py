# SPDX-License-Identifier: Apache-2.0
"""The demo model: a small one-stage, anchor-free detector with eight refined keypoints and a mask an object.

Masks are prototypes, maps over the image, mixed by coefficients of each object (YOLACT, Bolya et al., arXiv
1904.02689). Two ideas carry the keypoint accuracy:

- A dense head at stride 16 says, for each of its cells, which object covers it, that object's box and a first guess
  of its eight corners.
- A refiner reads the stride-8 features at each guessed corner and at the middle of each face (bilinear, so that a field
  of offsets stays linear between cells), looks at all of them together and moves the corners. It shares its weights
  over all of its steps, and runs only on the cells with the highest scores, so it costs next to nothing.

Only plain 3x3 and 1x1 convolutions with ReLU: those are what a CPU runs fastest, and they quantise well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 16
REFINE_STRIDE = 8
MASK_STRIDE = 4
KEYPOINTS = 8
FACES = tuple(
    tuple(k for k in range(KEYPOINTS) if bool(k & bit) is positive) for bit in (4, 2, 1) for positive in (False, True)
)
"""The corners of each face, as `ops.geometry.cuboid` numbers them."""
REFINE_UNIT = 4.0
"""Input pixels that one unit of the refiner's output means."""
CERTAIN = 0.25
"""Error, in the quality's unit (1 px of the input and 2 % of the object's size), up to which a corner counts fully."""
LOG_SIZE_RANGE = (-1.5, 3.5)
"""Bounds of the predicted log(size / stride): boxes of 3.6 to 530 px."""


@dataclass(frozen=True)
class ModelSettings:
    """The shape of the network.

    Attributes:
        class_count: object classes.
        width, height: input in px, multiples of 32.
        channels: of the features at strides 2, 4, 8, 16 and 32.
        neck: channels of the fused features at stride 16.
        fine: channels of the fused features at stride 8, which the refiner samples.
        hidden: width of the refiner, for each point.
        joint: width of the refiner's part that sees all points of an object.
        refine_steps: how often a corner is moved; 0 leaves the refiner out.
        candidates: cells that are put out, those with the highest scores.
        prototypes: maps that masks are mixed from; 0 leaves masks out.
    """

    class_count: int = 6
    width: int = 512
    height: int = 384
    channels: tuple[int, int, int, int, int] = (16, 32, 64, 96, 96)
    neck: int = 64
    fine: int = 48
    hidden: int = 48
    joint: int = 128
    refine_steps: int = 3
    candidates: int = 96
    prototypes: int = 16

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a checkpoint."""
        return asdict(self)


@dataclass
class Raw:
    """What the network says before anything is chosen; float32, but `fine` may be bfloat16.

    Attributes:
        class_logits: (B, A, class_count).
        boxes: (B, A, 4) as (x_min, y_min, x_max, y_max) in input px.
        keypoints: (B, A, 8, 2) first guesses in input px.
        embedding: (B, A, neck) of the keypoint branch, for the refiner.
        fine: (B, fine, H/8, W/8) features.
        coefficients: (B, A, prototypes).
        prototypes: (B, prototypes, H/4, W/4); a mask's logits are their sum, each times its coefficient.
    """

    class_logits: Tensor
    boxes: Tensor
    keypoints: Tensor
    embedding: Tensor
    fine: Tensor
    coefficients: Tensor
    prototypes: Tensor


class Conv(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        layers = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """x + two 3x3 convolutions through a narrower middle."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.first = Conv(channels, middle)
        self.second = Conv(middle, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Refiner(nn.Module):
    """Moves an object's corners by what the stride-8 features show at them and at the middles of the faces.

    All points of an object are looked at together (`gather`, `spread`): where something hides a corner, the corners
    and faces that are seen say where it must be.
    """

    def __init__(self, fine: int, embedding: int, hidden: int, joint: int) -> None:
        super().__init__()
        points = KEYPOINTS + len(FACES)
        self.context = nn.Linear(embedding, points * hidden)
        self.place = nn.Linear(2, hidden, bias=False)
        self.first = nn.Linear(fine, hidden, bias=False)
        self.gather = nn.Linear(points * hidden, joint)
        self.spread = nn.Linear(joint, KEYPOINTS * hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer('faces', face_weights(), persistent=False)

    def forward(
        self, fine: Tensor, embedding: Tensor, centers: Tensor, keypoints: Tensor, steps: int
    ) -> tuple[list[Tensor], Tensor]:
        """Refine the corners of R objects an image.

        Args:
            fine: (B, C, H/8, W/8), float32; call this outside of autocast.
            embedding: (B, R, E) of the cells that found the objects.
            centers: (B, R, 2) of those cells, input px.
            keypoints: (B, R, 8, 2) first guesses, input px.
            steps: 1 or more.

        Returns:
            The corners after each step, (B, R, 8, 2) each, and the last step's quality logits (B, R, 8).
        """
        batch, rows = keypoints.shape[:2]
        points = KEYPOINTS + len(FACES)
        context = self.context(embedding).reshape(batch, rows, points, -1)
        stages, logits = [], keypoints[..., 0]
        for _ in range(steps):
            keypoints = keypoints.detach()  # each step answers for its own move only
            places = torch.cat((keypoints, self.faces @ keypoints), 2)
            sampled = self._sample(fine, places.flatten(1, 2)).reshape(batch, rows, points, -1)
            place = (places - centers[:, :, None]) / 64
            hidden = functional.relu(self.first(sampled) + self.place(place) + context)
            together = self.spread(functional.relu(self.gather(hidden.flatten(2))))
            hidden = functional.relu(hidden[:, :, :KEYPOINTS] + together.reshape(batch, rows, KEYPOINTS, -1))
            moved = self.last(functional.relu(self.second(hidden)))
            keypoints = keypoints + moved[..., :2] * REFINE_UNIT
            logits = moved[..., 2]
            stages.append(keypoints)
        return stages, logits

    def _sample(self, fine: Tensor, places: Tensor) -> Tensor:
        """Features (B, N, C) at places (B, N, 2), input px, bilinear.

        Outside of the image those of its border, which say at least on which side a place lies.
        """
        height, width = fine.shape[2:]
        if not torch.onnx.is_in_onnx_export():
            grid = torch.stack((places[..., 0] / width, places[..., 1] / height), -1) * (2 / REFINE_STRIDE) - 1
            sampled = functional.grid_sample(fine, grid.unsqueeze(2), 'bilinear', 'border', align_corners=False)
            return sampled.squeeze(3).transpose(1, 2)
        # the same from rows of features: several times as fast as GridSample on a CPU
        last = places.new_tensor([width - 1, height - 1])
        cells = torch.minimum((places / REFINE_STRIDE - 0.5).clamp(min=0), last)
        low = torch.minimum(cells.floor(), last - 1)
        share = cells - low
        x, y = low.to(torch.int64).unbind(-1)
        right, down = share.split(1, -1)
        rows = fine.flatten(2)[0].transpose(0, 1)  # an exported model takes one image
        corner = (y * width + x)[0]
        top = rows[corner] * (1 - right) + rows[corner + 1] * right
        bottom = rows[corner + width] * (1 - right) + rows[corner + width + 1] * right
        return top + (bottom - top) * down


class PoseDetector(nn.Module):
    """The whole network. `forward` is what training uses; `ExportModel` wraps it for inference."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        c2, c4, c8, c16, c32 = settings.channels
        neck, fine = settings.neck, settings.fine
        self.stem = Conv(3, c2, stride=2)
        self.stage4 = nn.Sequential(Conv(c2, c4, stride=2), Residual(c4, c4 // 2))
        self.stage8 = nn.Sequential(Conv(c4, c8, stride=2), Residual(c8, c8 // 2), Residual(c8, c8 // 2))
        self.stage16 = nn.Sequential(Conv(c8, c16, stride=2), Residual(c16, c16 // 2), Residual(c16, c16 // 2))
        self.stage32 = nn.Sequential(Conv(c16, c32, stride=2), Residual(c32, c32 // 2), Residual(c32, c32 // 2))
        self.lateral32 = Conv(c32, neck, 1)
        self.lateral16 = Conv(c16, neck, 1, relu=False)
        self.merge16 = Conv(neck, neck)
        self.lateral8 = Conv(c8, fine, 1, relu=False)
        self.reduce16 = Conv(neck, fine, 1, relu=False)
        self.merge8 = nn.Sequential(Conv(fine, fine), Conv(fine, fine))
        self.down = Conv(fine, neck, stride=2)
        self.object_branch = Conv(neck, neck * 3 // 4)
        self.keypoint_branch = Conv(neck, neck)
        self.class_head = nn.Conv2d(neck * 3 // 4, settings.class_count, 1)
        self.box_head = nn.Conv2d(neck * 3 // 4, 4, 1)
        self.keypoint_head = nn.Conv2d(neck, 2 * KEYPOINTS, 1)
        if settings.prototypes:
            self.mask_head = nn.Conv2d(neck * 3 // 4, settings.prototypes, 1)
            self.mask8 = nn.Sequential(
                Conv(fine, fine), nn.Conv2d(fine, 4 * settings.prototypes, 1), nn.PixelShuffle(2)
            )
            self.mask4 = Conv(c4, settings.prototypes, 1, relu=False)
            self.mask_out = nn.Sequential(
                Conv(settings.prototypes, settings.prototypes), nn.Conv2d(settings.prototypes, settings.prototypes, 1)
            )
        self.refiner = Refiner(fine, neck, settings.hidden, settings.joint)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        nn.init.normal_(self.class_head.weight, std=0.01)
        nn.init.constant_(self.class_head.bias, -4.6)  # 1 % to begin with: nearly all cells are background
        nn.init.normal_(self.box_head.weight, std=0.01)
        nn.init.zeros_(self.box_head.bias)
        self.box_head.bias.data[2:] = 1.5
        nn.init.normal_(self.keypoint_head.weight, std=0.01)
        nn.init.zeros_(self.keypoint_head.bias)
        self.register_buffer('centers', cell_centers(settings.width, settings.height), persistent=False)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Dense predictions (B, class_count + 20 + prototypes, A), keypoint features (B, neck, A), fine features,
        prototypes.
        """
        x4 = self.stage4(self.stem(images))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        x32 = self.lateral32(self.stage32(x16))
        p16 = self.merge16(
            functional.relu(self.lateral16(x16) + functional.interpolate(x32, scale_factor=2.0, mode='nearest'))
        )
        p8 = self.lateral8(x8) + functional.interpolate(self.reduce16(p16), scale_factor=2.0, mode='nearest')
        p8 = self.merge8(functional.relu(p8))
        n16 = p16 + self.down(p8)
        objects, keypoints = self.object_branch(n16), self.keypoint_branch(n16)
        masked = bool(self.settings.prototypes)
        maps = self.mask_out(functional.relu(self.mask8(p8) + self.mask4(x4))) if masked else p8[:, :0]
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 would round corners to a pixel
            objects, keypoints = objects.float(), keypoints.float()
            dense = [self.class_head(objects), self.box_head(objects), self.keypoint_head(keypoints)]
            dense += [self.mask_head(objects)] if masked else []
            return torch.cat([part.flatten(2) for part in dense], 1), keypoints.flatten(2), p8, maps

    def forward(self, images: Tensor) -> Raw:
        """Everything the loss needs; images (B, 3, H, W) RGB in 0..1."""
        dense, embedding, fine, prototypes = self.features(images)
        logits, boxes, keypoints, coefficients = self.decode(dense.transpose(1, 2), self.centers)
        return Raw(logits, boxes, keypoints, embedding.transpose(1, 2), fine, coefficients, prototypes)

    def decode(self, dense: Tensor, centers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Dense rows at cell centres to logits, corner boxes, first keypoints and coefficients of masks."""
        parts = (self.settings.class_count, 2, 2, 2 * KEYPOINTS, self.settings.prototypes)
        logits, offset, log_size, keypoints, coefficients = dense.split(parts, -1)
        middle = centers + offset * STRIDE
        half = log_size.clamp(*LOG_SIZE_RANGE).exp() * (STRIDE / 2)
        keypoints = keypoints.reshape(*dense.shape[:2], KEYPOINTS, 2) * STRIDE + centers.unsqueeze(-2)
        return logits, torch.cat((middle - half, middle + half), -1), keypoints, coefficients


class ExportModel(nn.Module):
    """Images to the finished outputs: (B, 4 + class_count + 24 + prototypes, candidates), and the prototypes.

    Rows: box (x, y, w, h) in input px, class scores, (x, y, confidence) of the corners, and what the prototypes are
    multiplied by before their sum is the mask's logit. `refine_steps` 0 puts out the first guesses, with confidence 1.
    """

    def __init__(self, model: PoseDetector, refine_steps: int | None = None) -> None:
        super().__init__()
        self.model = model
        self.steps = model.settings.refine_steps if refine_steps is None else refine_steps

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        model, settings = self.model, self.model.settings
        dense, embedding, fine, prototypes = model.features(images)
        best = dense[:, : settings.class_count].amax(1)
        index = best.topk(settings.candidates, dim=1).indices[:, None]  # (B, 1, R)
        rows = dense.gather(2, index.expand(-1, dense.shape[1], -1)).transpose(1, 2).float()
        embedding = embedding.gather(2, index.expand(-1, embedding.shape[1], -1)).transpose(1, 2)
        centers = model.centers[index[:, 0]]
        logits, boxes, keypoints, coefficients = model.decode(rows, centers)
        trust = torch.ones_like(keypoints[..., 0])
        if self.steps:
            stages, quality = model.refiner(fine, embedding, centers, keypoints, self.steps)
            keypoints, trust = stages[-1], confidence(quality)
        low, high = boxes.split(2, -1)
        corners = torch.cat((keypoints, trust.unsqueeze(-1)), -1).flatten(2)
        rows = torch.cat(((low + high) / 2, high - low, logits.sigmoid(), corners, coefficients), -1)
        return rows.transpose(1, 2), prototypes


def confidence(quality: Tensor) -> Tensor:
    """What is put out for a corner, 0..1, from the logit of its quality: inverse to the error that it stands for.

    The loss trains the quality q to be exp(-u^2) for an error of u (`loss.py`), so u = sqrt(-log q). A confidence that
    is inverse to u is what a least-squares fit can weight by; it is 1 for the surest corners, u = CERTAIN and less.
    """
    return (CERTAIN * functional.softplus(-quality).rsqrt()).clamp(max=1.0)


def face_weights() -> Tensor:
    """(6, 8) what the middle of each face is made of: a quarter of each of its corners."""
    weights = torch.zeros(len(FACES), KEYPOINTS)
    for row, corners in enumerate(FACES):
        weights[row, list(corners)] = 0.25
    return weights


def cell_centers(width: int, height: int) -> Tensor:
    """(A, 2) x, y of the cells' centres in input px, row by row."""
    y, x = torch.meshgrid(torch.arange(height // STRIDE), torch.arange(width // STRIDE), indexing='ij')
    return (torch.stack((x, y), -1).reshape(-1, 2).float() + 0.5) * STRIDE


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Merge each `Conv`'s batch norm into its convolution, in place; the model must be in eval mode."""
    for module in model.modules():
        if isinstance(module, Conv) and isinstance(module[1], nn.BatchNorm2d):
            module[0] = nn.utils.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return model


def parameter_count(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
