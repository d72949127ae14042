"""Text banks from tiny random encoders: open_clip's file and transformers' folder must agree; sentence encoders."""

import json

import pytest
import torch
import torch.nn.functional as F

from mic_det.language import open_bank
from mic_det.language.text_encoder import make_bank, prompts_of
from tests.conftest import REPOSITORY, run_script

open_clip = pytest.importorskip("open_clip")
WIDTH, HEADS, LAYERS, DIM = 64, 2, 2, 32
CLASSES = ["road", "traffic light", "person"]
TINY = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": HEADS, "layers": LAYERS},
}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A random open_clip model of a new kind, TinyCLIP."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "TinyCLIP.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    network = open_clip.create_model("TinyCLIP").eval()
    for parameter in network.parameters():  # biases are 0 at first and would hide a mix-up
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    """The text tower as transformers stores it."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        projection_dim=DIM, hidden_act="gelu", bos_token_id=49406, eos_token_id=49407, pad_token_id=49407,
    )  # fmt: skip
    text = CLIPTextModelWithProjection(config)
    own, state = text.state_dict(), network.state_dict()
    prefix = "text_model." if any(name.startswith("text_model.") for name in own) else ""
    names = {
        "embeddings.token_embedding.weight": state["token_embedding.weight"],
        "embeddings.position_embedding.weight": state["positional_embedding"],
        "final_layer_norm.weight": state["ln_final.weight"],
        "final_layer_norm.bias": state["ln_final.bias"],
    }
    for index in range(LAYERS):
        block, layer = f"transformer.resblocks.{index}.", f"encoder.layers.{index}."
        for kind in ("weight", "bias"):
            for part, value in zip("qkv", state[f"{block}attn.in_proj_{kind}"].chunk(3), strict=True):
                names[f"{layer}self_attn.{part}_proj.{kind}"] = value
            for theirs, ours in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ):
                names[f"{layer}{ours}.{kind}"] = state[f"{block}{theirs}.{kind}"]
    state = {**{f"{prefix}{name}": value for name, value in names.items()}, "text_projection.weight": state["text_projection"].T}
    assert not text.load_state_dict(state, strict=False).unexpected_keys
    path = tmp_path_factory.mktemp("transformers")
    text.save_pretrained(path)
    tokens = open_clip.get_tokenizer("ViT-B-32")
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {special.get(word, word): index for word, index in tokens.encoder.items()}
    CLIPTokenizer(vocabulary, list(tokens.bpe_ranks)).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """A random sentence encoder of sentence-transformers: BERT, mean over tokens, normalised."""
    from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", ".", *" ".join(CLASSES).split(), "pedestrian"]
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    sizes = {"hidden_size": DIM, "intermediate_size": DIM, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    layers = models.Transformer(str(path)), models.Pooling(DIM), models.Normalize()
    SentenceTransformer(modules=layers, device="cpu").save(str(path / "tiny-bert"))
    return path


def test_prompts_are_the_published_ones():
    assert prompts_of(CLASSES) == [
        ["a photo of a road."],
        ["a photo of a traffic light."],
        ["a photo of a pedestrian."],
    ]
    assert prompts_of(["rider", "bus"], ("{name}", "a {name}"), {"bus": "coach"}) == [["rider", "a rider"], ["coach", "a coach"]]


def test_a_bank_holds_the_encoders_own_output(network, file):
    bank = make_bank(CLASSES, file, "TinyCLIP", "random")
    with torch.no_grad():
        expected = network.encode_text(open_clip.get_tokenizer("ViT-B-32")([prompts[0] for prompts in bank.prompts]))
    torch.testing.assert_close(bank.embeddings, expected)
    assert not torch.allclose(bank.embeddings.norm(dim=1), torch.ones(3))
    assert (bank.model, bank.tag, len(bank.weights_sha256)) == ("TinyCLIP", "random", 64)


def test_several_templates_are_averaged_on_the_sphere(network, file):
    templates = ("a photo of a {name}.", "{name} in the fog")
    bank = make_bank(CLASSES, file, "TinyCLIP", templates=templates, aliases={})
    tokens = open_clip.get_tokenizer("ViT-B-32")
    with torch.no_grad():
        parts = [F.normalize(network.encode_text(tokens([t.format(name=name) for name in CLASSES]))) for t in templates]
    torch.testing.assert_close(bank.embeddings, F.normalize(sum(parts) / 2))


def test_both_libraries_give_the_same_embeddings(file, folder):
    ours, theirs = make_bank(CLASSES, file, "TinyCLIP"), make_bank(CLASSES, folder)
    torch.testing.assert_close(ours.embeddings, theirs.embeddings, rtol=1e-4, atol=1e-5)
    assert theirs.model.endswith("(transformers)") and len(theirs.weights_sha256) == 64


def test_sentence_encoders_give_their_pooled_embeddings(sentences):
    from transformers import AutoModel, AutoTokenizer

    bank = make_bank(CLASSES, sentences / "tiny-bert")
    tokens = AutoTokenizer.from_pretrained(sentences)([prompts[0] for prompts in bank.prompts], padding=True, return_tensors="pt")
    assert set(tokens["attention_mask"].sum(dim=1).tolist()) == {8, 9}  # "traffic light" is one word longer
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(sentences).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    torch.testing.assert_close(bank.embeddings, F.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1)), rtol=1e-4, atol=1e-5)
    assert bank.model == "tiny-bert (sentence-transformers)" and bank.tag == "" and len(bank.weights_sha256) == 64


def test_the_tool_writes_a_bank_and_names_what_is_wrong(folder, file, tmp_path):
    tool = REPOSITORY / "tools/make_text_bank.py"
    common = ("--classes", *CLASSES, "--output", tmp_path / "bank.pth")
    run = run_script(tool, *common, "--weights", folder, "--alias", "road=street", "--tag", "tiny")
    assert "road: a photo of a street." in run.stdout and "person: a photo of a pedestrian." in run.stdout
    bank = open_bank(str(tmp_path / "bank.pth"), 3)
    bank.check_classes(CLASSES, "the dataset")
    assert bank.tag == "tiny"
    for name in ("broken", "hollow"):
        (tmp_path / name).mkdir()
    (tmp_path / "broken/modules.json").write_text("no list")
    for arguments, message in (
        (("--weights", tmp_path / "broken"), "broken holds no sentence encoder"),
        (("--weights", tmp_path / "none.bin"), "none.bin does not exist. LC-MSM uses OpenCLIP's ViT-H-14"),
        (("--weights", file, "--model", "ViT-B-33"), "Did you mean 'ViT-B-32'?"),
        (("--weights", tmp_path / "hollow"), "holds neither a CLIP text encoder"),
        (("--weights", file, "--template", "a photo"), "does not say where the {name} goes"),
        (("--weights", file, "--alias", "person"), "is not CLASS=WORD"),
    ):
        run = run_script(tool, *common, *arguments, check=False)
        assert run.returncode and message in run.stderr, run.stderr
