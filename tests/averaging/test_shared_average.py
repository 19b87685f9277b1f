"""The shared form of the sixty-transform mean against sixty passes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from pipeline.averaging import SharedAverage, naive_average, naive_with_hidden
from pipeline.averaging.shared import SharedNetwork
from pipeline.geometry import SYMMETRY_PERMUTATIONS, averaging_transforms
from pipeline.network import NetworkSpec, RegionBatch, ViewpointNetwork, ViewpointSampler
from pipeline.network.spec import ConvolutionSpec, DenseSpec
from pipeline.tree import DecisionTree
from tests.support.trained import galaxies, trained_like

DENSE = {
    "two maxout layers": (DenseSpec(units=24), DenseSpec(units=20)),
    "one maxout layer": (DenseSpec(units=24),),
    "one ReLU layer": (DenseSpec(units=40, activation="relu"),),
}


def spec(dense: str, convolutions: tuple[tuple[int, int, int], ...]) -> NetworkSpec:
    return NetworkSpec(
        name=dense,
        convolutions=tuple(ConvolutionSpec(filters=f, kernel=k, pool=p) for f, k, p in convolutions),
        dense=DENSE[dense],
    )


PAPER_SHAPE = ((4, 6, 2), (6, 5, 2), (8, 3, 1), (8, 3, 2))
SHORT = ((4, 8, 4), (6, 4, 2))


def assert_sane(network: ViewpointNetwork, regions: RegionBatch) -> None:
    """The test means something: units alive, answers that change from transform to transform."""
    views = ViewpointSampler()(regions, averaging_transforms()[::7])
    with torch.no_grad():
        features = network.viewpoint_features(views)
        answers = network.output(network.raw(features))
    assert 0.05 < float((features > 0).float().mean()) < 0.95
    assert float(answers[..., :3].sum(-1).min()) > 0.99
    assert float(answers.std(1).mean()) > 5e-3
    assert float(answers.mean(1).std(0).mean()) > 5e-3


@pytest.mark.parametrize("dense", DENSE)
@pytest.mark.parametrize(
    "convolutions",
    [pytest.param(PAPER_SHAPE, id="paper", marks=pytest.mark.long), pytest.param(SHORT, id="short")],
)
def test_it_equals_sixty_passes(dense: str, convolutions: tuple, tree: DecisionTree) -> None:
    network, regions = trained_like(spec(dense, convolutions), tree), galaxies(2, 352, 1.0)
    assert_sane(network, regions)
    expected = naive_average(network, ViewpointSampler(), regions)
    found = SharedAverage(network)(regions)
    assert found.shape == (2, 37)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "scale", "off"),
    [
        *(
            pytest.param(*frame, marks=pytest.mark.long)
            for frame in ((351, 1.0, 0.0), (176, 0.5, 0.0), (700, 2.0, 0.5))
        ),
        *((141, 0.4, 3.3), (300, 1.0, 7.7)),
    ],
)
def test_it_equals_sixty_passes_in_any_frame(side: int, scale: float, off: float, tree: DecisionTree) -> None:
    network = trained_like(spec("two maxout layers", SHORT), tree)
    regions = galaxies(2, side, scale, off, seed=side)
    expected = naive_average(network, ViewpointSampler(), regions)
    torch.testing.assert_close(SharedAverage(network)(regions), expected, rtol=0, atol=1e-5)


def test_the_mean_is_over_all_sixty_after_the_output_layer(tree: DecisionTree) -> None:
    network, regions = trained_like(spec("one maxout layer", SHORT), tree), galaxies(2, 352, 1.0)
    with torch.no_grad():
        each = torch.stack([network(ViewpointSampler()(regions, [t]))[:, 0] for t in averaging_transforms()])
    torch.testing.assert_close(naive_average(network, ViewpointSampler(), regions), each.mean(0))
    first = naive_average(network, ViewpointSampler(), regions, averaging_transforms()[:1])
    torch.testing.assert_close(first, each[0])


@pytest.mark.parametrize(
    "dense", [pytest.param(dense, marks=[pytest.mark.long] * (dense != next(iter(DENSE)))) for dense in DENSE]
)
def test_the_hidden_layer_is_that_of_sixty_passes_and_moves_no_answer(dense: str, tree: DecisionTree) -> None:
    network, regions = trained_like(spec(dense, SHORT), tree), galaxies(5, 176, 0.5)
    with torch.no_grad():
        views = ViewpointSampler()(regions, averaging_transforms())
        each = network.hidden(network.viewpoint_features(views))
    assert float(each.std(1).mean()) > 0.02  # it changes from transform to transform
    assert float(each.mean(1).std(0).mean()) > 0.01
    naive, expected = naive_with_hidden(network, ViewpointSampler(), regions)
    torch.testing.assert_close(expected, each.mean(1), rtol=0, atol=1e-5)
    average = SharedAverage(network, galaxies_at_once=2)
    answers, hidden = average.with_hidden(regions)
    assert hidden.dtype == torch.float32
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-4)
    assert torch.equal(answers, average(regions))
    assert torch.equal(naive, naive_average(network, ViewpointSampler(), regions))


def test_the_hidden_layer_of_an_ensemble_is_the_first_networks(tree: DecisionTree) -> None:
    networks = [trained_like(spec(dense, SHORT), tree) for dense in DENSE]
    regions = galaxies(3, 176, 0.5)
    ensemble = SharedAverage(*networks, galaxies_at_once=2)
    answers, hidden = ensemble.with_hidden(regions)
    assert torch.equal(answers, ensemble(regions))
    assert torch.equal(hidden, SharedAverage(networks[0], galaxies_at_once=2).with_hidden(regions)[1])


def test_the_hidden_layer_of_short_floats_is_averaged_in_float32(tree: DecisionTree) -> None:
    network, regions = trained_like(spec("two maxout layers", SHORT), tree), galaxies(3, 176, 0.5)
    average = SharedAverage(network, dtype=torch.bfloat16)
    answers, hidden = average.with_hidden(regions)
    assert torch.equal(answers, average(regions))
    assert hidden.dtype == torch.float32
    expected = naive_with_hidden(network, ViewpointSampler(), regions)[1]
    assert not torch.equal(hidden, hidden.bfloat16().float())
    torch.testing.assert_close(hidden, expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("at_once", [1, 2, *(pytest.param(n, marks=pytest.mark.long) for n in (5, 8))])
def test_it_does_not_matter_how_many_galaxies_are_in_memory(at_once: int, tree: DecisionTree) -> None:
    network, regions = trained_like(spec("two maxout layers", SHORT), tree), galaxies(5, 176, 0.5)
    whole = SharedAverage(network, galaxies_at_once=5)(regions)
    torch.testing.assert_close(
        SharedAverage(network, galaxies_at_once=at_once)(regions), whole, rtol=0, atol=1e-6
    )
    assert float(whole.std(0).max()) > 0.01


def test_it_does_not_matter_which_galaxies_come_along(tree: DecisionTree) -> None:
    network, regions = trained_like(spec("two maxout layers", SHORT), tree), galaxies(3, 176, 0.5)
    average = SharedAverage(network)
    together = average(regions)
    for i in range(3):
        torch.testing.assert_close(average(regions[i : i + 1])[0], together[i], rtol=0, atol=1e-6)


def test_an_ensemble_is_the_mean_of_its_networks(tree: DecisionTree) -> None:
    networks = [trained_like(spec(dense, PAPER_SHAPE), tree) for dense in DENSE]
    regions = galaxies(5, 176, 0.5)
    ensemble = SharedAverage(*networks, galaxies_at_once=2)
    alone = torch.stack([SharedAverage(network)(regions) for network in networks])
    assert float(alone.std(0).max()) > 0.01
    torch.testing.assert_close(ensemble.each(regions), alone, rtol=0, atol=1e-6)
    torch.testing.assert_close(ensemble(regions), alone.mean(0), rtol=0, atol=1e-6)


def test_it_compiles_to_one_graph_for_batches_of_one_size(tree: DecisionTree) -> None:
    network, regions = trained_like(spec("two maxout layers", SHORT), tree), galaxies(5, 176, 0.5)
    counter = CompileCounter()
    compiled = SharedAverage(network, galaxies_at_once=2, compiler=counter)
    torch.testing.assert_close(compiled(regions), SharedAverage(network)(regions), rtol=0, atol=1e-6)
    assert compiled(regions[:1]).shape == (1, 37)
    assert counter.frame_count == 1
    answers, hidden = compiled.with_hidden(regions)
    expected = SharedAverage(network).with_hidden(regions)
    torch.testing.assert_close((answers, hidden), expected, rtol=0, atol=1e-5)
    assert counter.frame_count == 2


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_it_does_not_matter_how_many_cores_share_the_work(threads: int, tree: DecisionTree) -> None:
    network, regions = trained_like(spec("one maxout layer", SHORT), tree), galaxies(7, 176, 0.5)
    average = SharedAverage(network, galaxies_at_once=2)
    before, expected = torch.get_num_threads(), average(regions)
    torch.set_num_threads(threads)
    try:
        found = average(regions)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_no_galaxies_give_no_rows(tree: DecisionTree) -> None:
    network, none = trained_like(spec("one maxout layer", SHORT), tree), galaxies(1, 176, 0.5)[:0]
    assert SharedAverage(network)(none).shape == (0, 37)
    assert naive_average(network, ViewpointSampler(), none).shape == (0, 37)
    assert SharedAverage(network).with_hidden(none)[1].shape == (0, 24)


def test_a_network_in_training_mode_is_refused(tree: DecisionTree) -> None:
    with pytest.raises(ValueError, match="eval"):
        SharedAverage(ViewpointNetwork(spec("one maxout layer", SHORT), tree))


def test_bfloat16_stays_near_the_float32_mean(tree: DecisionTree) -> None:
    """Sixty averaged answers hide single roundings: at most 0.02 off, 0.004 on average."""
    network, regions = trained_like(spec("two maxout layers", PAPER_SHAPE), tree), galaxies(3, 352, 1.0)
    assert_sane(network, regions)
    expected = naive_average(network, ViewpointSampler(), regions)
    average = SharedAverage(network, dtype=torch.bfloat16)
    shared = (average(regions) - expected).abs()
    naive = (naive_average(network.lowered(torch.bfloat16), ViewpointSampler(), regions) - expected).abs()
    assert [buffer.dtype for _, buffer in average.named_buffers()].count(torch.bfloat16) == 2
    assert network.dtype == torch.float32
    assert 1e-6 < float(shared.max()) < 2e-2
    assert float(shared.mean()) < 4e-3
    assert float(shared.mean()) < 2 * float(naive.mean()) + 1e-4


def first_layer(network: ViewpointNetwork, features: Tensor) -> tuple[Tensor, Tensor]:
    """The first dense layer's values in the four orders: by the transform, and summed directly."""
    layer = network.dense_layers[0]
    shared = SharedNetwork(network, torch.float32)._first_layer(features, layer)
    direct = [layer.linear(features[:, permutation].flatten(1)) for permutation in SYMMETRY_PERMUTATIONS]
    return shared, torch.stack(direct)


@torch.no_grad()
def test_the_walsh_hadamard_layer_equals_the_direct_sums(tree: DecisionTree) -> None:
    network = trained_like(spec("two maxout layers", PAPER_SHAPE), tree)
    features = torch.rand(6, 16, network.spec.viewpoint_features)
    shared, direct = first_layer(network, features)
    assert shared.shape == (4, 6, 48)
    assert float((direct[1:] - direct[0]).abs().mean()) > 0.1
    torch.testing.assert_close(shared, direct, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_one_feature_of_one_viewpoint_meets_the_weight_of_its_place_in_each_order(tree: DecisionTree) -> None:
    network = trained_like(spec("one ReLU layer", SHORT), tree)
    weight = network.dense_layers[0].linear.weight.unflatten(1, (16, -1))
    bias = network.dense_layers[0].linear.bias
    for viewpoint in range(16):
        features = torch.zeros(1, 16, network.spec.viewpoint_features)
        features[0, viewpoint, 3] = 1.0
        shared, _ = first_layer(network, features)
        for order, permutation in enumerate(SYMMETRY_PERMUTATIONS.tolist()):
            expected = weight[:, permutation.index(viewpoint), 3] + bias
            torch.testing.assert_close(shared[order, 0], expected, rtol=1e-4, atol=1e-5)
