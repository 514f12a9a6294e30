"""Folders of diffusers: schedulers as solvers, and what is refused, each in one line."""

import json
import shutil

import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from click.testing import CliRunner
from tiny_pipelines import change, save_pipeline

from adagen_rt.cli.export import export
from adagen_rt.errors import InputError, RecipeError
from adagen_rt.export.diffusers import is_pipeline, plan_pipeline
from adagen_rt.export.diffusers.schedulers import Grid, read_sampler
from adagen_rt.extent import Extent

pytestmark = pytest.mark.filterwarnings("ignore")
FLOW = diffusers.FlowMatchEulerDiscreteScheduler
DPM = diffusers.DPMSolverMultistepScheduler
DDIM = diffusers.DDIMScheduler


GRID = Grid(64)


def sampler(scheduler, folder, grid=GRID):
    scheduler.save_pretrained(folder)
    return read_sampler(folder, type(scheduler).__name__, grid)


@pytest.mark.parametrize("steps", [1, 4, 7, 20, 28])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"shift": 3.0}, {"use_dynamic_shifting": True, "time_shift_type": "linear"}]
)
def test_times_of_flows(tmp_path, steps, own, options):
    scheduler = FLOW(**options)
    mu = 0.5 + (64 - 256) * 0.65 / 3840
    sigmas = np.linspace(1, 1 / steps, steps) if own else None
    found = sampler(scheduler, tmp_path, Grid(64, own=own))
    scheduler.set_timesteps(steps, sigmas=sigmas, mu=mu)
    assert (found.family, found.solver) == ("flow", "euler")
    times = found.time.values(steps, steps + 1)
    np.testing.assert_allclose(1 - times, scheduler.sigmas.numpy(), rtol=0, atol=2e-7)


@pytest.mark.parametrize("steps", [1, 4, 7, 20, 30])
@pytest.mark.parametrize(
    "scheduler",
    [
        DDIM(clip_sample=False),
        DDIM(clip_sample=False, steps_offset=1, beta_schedule="scaled_linear"),
        *(DPM(timestep_spacing=spacing) for spacing in ("linspace", "leading", "trailing")),
    ],
)
def test_times_of_diffusions(tmp_path, steps, scheduler):
    found = sampler(scheduler, tmp_path)
    scheduler.set_timesteps(steps)
    times = found.time.values(steps, steps + 1)
    np.testing.assert_allclose(times[:-1] * 1000 - 1, scheduler.timesteps.numpy(), atol=1e-9)
    assert times[-1] == 0
    powers = np.arange(1, 1001)[:, None] / 1000
    fitted = powers ** np.arange(1, len(found.log_alpha) + 1) @ found.log_alpha
    exact = np.log(scheduler.alphas_cumprod.double().numpy()) / 2
    np.testing.assert_allclose(fitted, exact, rtol=1e-5, atol=1e-7)


def test_multistep_flows(tmp_path):
    options = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
    scheduler = DPM(**options)
    found = sampler(scheduler, tmp_path)
    scheduler.set_timesteps(9)
    assert (found.family, found.solver, found.whole) == ("flow", "dpmpp_2m", True)
    sigmas = 1 - found.time.values(9, 10)
    np.testing.assert_allclose(sigmas, scheduler.sigmas.numpy(), rtol=0, atol=2e-7)


@pytest.mark.parametrize(
    ("scheduler", "told"),
    [
        (FLOW(use_karras_sigmas=True), "use_karras_sigmas: got True, expected False"),
        (FLOW(shift_terminal=0.02), "shift_terminal: got 0.02, expected None"),
        (FLOW(invert_sigmas=True), "invert_sigmas: got True"),
        (FLOW(num_train_timesteps=500), "num_train_timesteps: got 500, expected 1000"),
        (DDIM(clip_sample=False, num_train_timesteps=500), "num_train_timesteps: got 500"),
        (DPM(beta_start=1e-5), "beta_start: got 1e-05, expected more noise at the first step"),
        (DDIM(), "clip_sample: got True, expected False"),
        (DDIM(clip_sample=False, timestep_spacing="trailing"), "expected 'leading'"),
        (DPM(prediction_type="v_prediction"), "prediction_type: got 'v_prediction'"),
        (DPM(thresholding=True), "thresholding: got True"),
        (DPM(use_karras_sigmas=True), "use_karras_sigmas: got True"),
        (DPM(solver_order=3), "solver_order: got 3, expected 1 or 2"),
        (DPM(final_sigmas_type="sigma_min"), "final_sigmas_type: got 'sigma_min'"),
        (DPM(algorithm_type="sde-dpmsolver++"), "algorithm_type: got 'sde-dpmsolver++'"),
        (DPM(beta_schedule="squaredcos_cap_v2"), "beta_schedule: got 'squaredcos_cap_v2'"),
        (DPM(use_flow_sigmas=True), "use_flow_sigmas: got True, expected False"),
        (DPM(lambda_min_clipped=-3.0), "lambda_min_clipped: got -3.0"),
        (DPM(variance_type="learned_range"), "variance_type: got 'learned_range'"),
    ],
)
def test_what_changes_numbers_is_honoured_or_refused(tmp_path, scheduler, told):
    with pytest.raises(RecipeError) as error:
        sampler(scheduler, tmp_path)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dynamic_shift_needs_a_pipeline_that_tells_the_size(tmp_path):
    with pytest.raises(RecipeError, match="use_dynamic_shifting: got True"):
        sampler(FLOW(use_dynamic_shifting=True), tmp_path, Grid(64, told=False))
    with pytest.raises(RecipeError, match=r"json: max_image_seq_len: got 256, expected above 256"):
        sampler(FLOW(use_dynamic_shifting=True, max_image_seq_len=256), tmp_path)


def test_an_offset_beyond_the_last_interval_ends_at_a_step_of_the_training(tmp_path):
    found = sampler(DDIM(clip_sample=False, steps_offset=3), tmp_path)
    assert found.time.values(333, 334)[-1] == 1 / 1000
    assert found.time.values(50, 51)[-1] == 0


def test_an_unknown_option_of_a_scheduler_is_refused(tmp_path):
    FLOW().save_pretrained(tmp_path)
    change(tmp_path / "scheduler_config.json", zigzag=2)
    with pytest.raises(RecipeError, match="zigzag: unknown option"):
        read_sampler(tmp_path, FLOW.__name__, Grid(64))


@pytest.fixture
def folder(tmp_path):
    return save_pipeline("dit", tmp_path / "dit")


def test_a_plan_says_what_would_be_made(folder):
    assert is_pipeline(folder)
    facts = "\n".join(plan_pipeline(folder).facts())
    assert "DiTPipeline can be exported" in facts
    assert "images of 16 x 16" in facts
    plan = plan_pipeline(folder)
    assert plan.condition.names[:4] == ("tench", "crane", "crane bird", "3")
    assert plan.schedule.actions[1].static.value == 3.0


def test_an_engine_is_named_as_its_repository(folder, tmp_path):
    snapshot = tmp_path / "models--someone--small-DiT" / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    assert plan_pipeline(snapshot).name == "small-DiT"


@pytest.mark.parametrize(
    ("place", "changes", "told"),
    [
        ("model_index.json", {"_class_name": "WanPipeline"}, "DiTPipeline"),
        ("model_index.json", {"_class_name": "StableDiffusionPipeline"}, "an adapter: DiTPipeline"),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderTiny"]}, "expected AutoencoderKL"),
        ("model_index.json", {"transformer": ["my_code", "DiTTransformer2DModel"]}, "my_code"),
        ("model_index.json", {"transformer": [None, None]}, "transformer: missing"),
        ("model_index.json", {"vae": "AutoencoderKL"}, "vae: got 'AutoencoderKL', expected Auto"),
        ("model_index.json", {"vae": ["diffusers"]}, "vae: got diffusers, expected AutoencoderKL"),
        ("model_index.json", {"vae": 5}, "vae: got 5, expected AutoencoderKL"),
        ("vae/config.json", {"quantization_config": {"load_in_4bit": True}}, "quantization_config"),
        ("model_index.json", {"_class_name": None}, "_class_name: got None, expected"),
        ("model_index.json", {"scheduler": None}, "scheduler: got None, expected one of DDIMSch"),
        ("model_index.json", {"scheduler": ["diffusers", "DDPMScheduler"]}, "diffusers.DDPMSched"),
        (
            "model_index.json",
            {"scheduler": ["diffusers", "DPMSolverMultistepScheduler"]},
            "got 'DDIMScheduler', expected DPMSolverMultistepScheduler, as in the pipeline's index",
        ),
        ("vae/config.json", {"_class_name": "AutoencoderTiny"}, "expected AutoencoderKL, as in"),
        ("transformer/config.json", {"num_layers": "two"}, "transformer: "),
        ("transformer/config.json", {"patch_size": 0}, "transformer: "),
        ("transformer/config.json", {"num_embeds_ada_norm": 10}, "num_embeds_ada_norm: got 10"),
    ],
)
def test_what_is_missing_is_said_in_one_line(folder, place, changes, told):
    change(folder / place, **changes)
    with pytest.raises(RecipeError) as error:
        plan_pipeline(folder)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("side", ["padding_side", "truncation_side"])
def test_a_tokenizer_that_fills_or_cuts_the_beginning_is_refused(tmp_path, side):
    folder = save_pipeline("pixart", tmp_path / "pixart")
    change(folder / "tokenizer" / "tokenizer_config.json", **{side: "left"})
    with pytest.raises(RecipeError, match=f"tokenizer: {side}: got 'left', expected 'right'"):
        plan_pipeline(folder)


def test_sana_fills_the_end_whatever_its_tokenizer_says(tmp_path):
    folder = save_pipeline("sana", tmp_path / "sana")
    (encoder,) = plan_pipeline(folder).condition.encoders
    assert encoder.length == 300 + encoder.led
    assert encoder.lead.endswith("User Prompt: ")
    assert plan_pipeline(folder, Extent.of(16)).sizes.largest == 32
    change(folder / "transformer" / "config.json", guidance_embeds=True)
    with pytest.raises(RecipeError, match="guidance_embeds: got true"):
        plan_pipeline(folder)


def test_sizes_that_do_not_fit_are_refused(folder):
    with pytest.raises(InputError, match="size: got '15 x 15', expected multiples of 2"):
        plan_pipeline(folder, Extent.of(15))
    with pytest.raises(RecipeError, match="size: got 16 x 16 latents, expected 8"):
        plan_pipeline(folder, Extent.of(32))


@pytest.mark.parametrize("guidance", [-1.0, float("nan"), 1e9])
def test_guidance_out_of_range_is_refused(folder, guidance):
    with pytest.raises(InputError, match="guidance: got"):
        plan_pipeline(folder, guidance=guidance)


def test_a_tokenizer_with_more_words_than_its_encoder_is_refused(tmp_path):
    folder = save_pipeline("pixart", tmp_path / "pixart")
    change(folder / "text_encoder" / "config.json", vocab_size=8)
    with pytest.raises(RecipeError, match="expected ids below 8, vocab_size of text_encoder"):
        plan_pipeline(folder)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model_max_length": 10**30}, "model_max_length: got 1000000000"),
        ({"pad_token": None}, "pad_token: got none"),
    ],
)
def test_a_tokenizer_says_what_fills_prompts_and_how_far(tmp_path, settings, told):
    folder = save_pipeline("sd3", tmp_path / "sd3")
    change(folder / "tokenizer" / "tokenizer_config.json", **settings)
    with pytest.raises(RecipeError, match=f"tokenizer: {told}"):
        plan_pipeline(folder)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "tokenizer", "scheduler"])
def test_a_part_that_is_missing_is_not_sought_elsewhere(tmp_path, monkeypatch, part):
    """A path such as `pixart/transformer` is the name of a repository to the libraries."""
    save_pipeline("pixart", tmp_path / "pixart")
    shutil.rmtree(tmp_path / "pixart" / part)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"^pixart/{part}.*(No such file|missing, expected)"):
        plan_pipeline("pixart")


def test_a_configuration_is_an_object(tmp_path):
    folder = save_pipeline("pixart", tmp_path / "pixart")
    for part, text in (("transformer", "[]"), ("vae", "null"), ("text_encoder", "{")):
        path = folder / part / "config.json"
        before = path.read_text()
        path.write_text(text)
        with pytest.raises(RecipeError, match=f"{part}/config.json: not a readable configuration"):
            plan_pipeline(folder)
        path.write_text(before)


def test_a_tokenizer_without_its_words_is_refused(tmp_path):
    """The library would make an empty one, and every prompt the same."""
    folder = save_pipeline("sd3", tmp_path / "sd3")
    (folder / "tokenizer_3" / "tokenizer.json").unlink()
    told = "tokenizer_3: got no vocabulary, expected tokenizer.json or spiece.model"
    with pytest.raises(RecipeError, match=told):
        plan_pipeline(folder)


def test_code_of_a_folder_is_never_run(tmp_path, monkeypatch):
    """Not even if who is asked at the terminal, as the library does, says yes to everything."""
    folder = save_pipeline("pixart", tmp_path / "pixart")
    change(
        folder / "tokenizer" / "tokenizer_config.json",
        tokenizer_class="Own",
        auto_map={"AutoTokenizer": ["own.Own", "own.Own"]},
    )
    (folder / "tokenizer" / "own.py").write_text("raise SystemExit('run')\nclass Own: pass\n")
    monkeypatch.setattr("builtins.input", lambda question: "y")
    with pytest.raises(RecipeError, match="tokenizer: got a tokenizer of its own code, which is"):
        plan_pipeline(folder)


def test_a_damaged_index_is_told(folder):
    (folder / "model_index.json").write_text("[")
    with pytest.raises(RecipeError, match="not a readable index"):
        plan_pipeline(folder)
    (folder / "model_index.json").write_text(json.dumps(["DiTPipeline"]))
    with pytest.raises(RecipeError, match="not a readable index"):
        plan_pipeline(folder)


def command(*arguments):
    return CliRunner().invoke(export, [str(argument) for argument in arguments])


def test_the_command_says_what_a_folder_is(folder):
    result = command(folder, "--check", "--size", "16")
    assert result.exit_code == 0
    assert "DiTPipeline can be exported" in result.output
    assert "memory: at least" in result.output
    assert result.output.endswith("weights: all there\n")
    next((folder / "vae").glob("*.safetensors")).unlink()
    result = command(folder, "--check")
    assert f"weights are still missing: {folder / 'vae'}: got no weights" in result.output
    assert "tag" in command(folder, "--check", "--seeded", "x").output.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--size", "0"], "size: got '0', expected WIDTHxHEIGHT or SIDE, 1 to"),
        (["--size", "16x16x16"], "size: got '16x16x16', expected WIDTHxHEIGHT"),
        (["--size", "16x"], "size: got '16x'"),
        (["--size", "24x16"], "size: got 8 x 12 (height x width) latents"),
        (["--weights", "x"], "weights: got 'x', expected none with a diffusers pipeline"),
        (["--weights-key", "ema"], "weights-key: got"),
        (["--guidance", "nan"], "guidance: got nan"),
    ],
)
def test_options_that_do_not_fit_a_folder_are_refused(folder, options, told):
    assert told in str(command(folder, "--check", *options).exception)


def test_a_recipe_takes_no_size():
    recipe = "export/dit-xl-2.yaml"
    assert "size: got" in str(command(recipe, "--check", "--size", "16").exception)
