"""The tree's rules: arrows run down, kernels stay pure, and no result comes from another library."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CPP = ROOT / "cpp"
PACKAGE = ROOT / "src" / "latchwork"

# Each may include what stands before it (and itself).
CPP_FLOORS = ("base", "simd", "kernels", "cpu", "runtime", "sequence", "layers", "model", "bindings")
FREESTANDING = {"cstddef", "cstdint", "immintrin.h", "arm_neon.h"}
GENERATED = {"cell_list.inc", "isa_list.inc"}

# Each may import what stands before it (and itself); names are modules or packages of latchwork.
PYTHON_FLOORS = (
    ("_core", "_version"),
    ("names", "fields", "floats", "memory", "drawing"),
    ("config", "cpu", "random", "ragged", "progress", "schedules"),
    ("functional", "initializers", "losses", "optimizers"),
    ("metrics",),
    ("data", "datasets"),
    ("layers",),
    ("testing",),
    ("callbacks",),
    ("models",),
    ("viz",),
    ("demo",),
    ("__main__",),
)


def sources(*folders):
    files = [f for folder in folders for f in (CPP / folder).rglob("*") if f.suffix in {".h", ".cpp", ".inc"}]
    assert files, folders
    return files


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def includes(path):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', path.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("folder", CPP_FLOORS)
def test_cpp_includes_go_down(folder):
    below = CPP_FLOORS[: CPP_FLOORS.index(folder) + 1]
    for path in sources(folder):
        for bracket, name in includes(path):
            if bracket == "<":
                continue
            top = name.split("/")[0]
            if name in GENERATED:
                continue
            if top == "latchwork":  # the public headers, which know nothing of cpp/
                assert folder not in {"base", "simd", "kernels"}, f"{path}: {name}"
            else:
                assert "/" in name, f"{path}: include {name!r} by its folder"
                assert top in below, f"{path}: {name} stands above {folder}"


def test_every_cpp_folder_has_a_floor():
    assert {p.name for p in CPP.iterdir() if p.is_dir()} == set(CPP_FLOORS)


def test_public_headers_stand_alone():
    for path in (ROOT / "include").rglob("*.h"):
        for bracket, name in includes(path):
            assert bracket == "<" or name.startswith("latchwork/"), f"{path}: {name}"
        assert not re.search(r"avx|neon|pybind", without_comments(path.read_text())), path


def test_kernels_are_freestanding():
    """An inline std:: function compiled for AVX-512 is a weak symbol that the linker may keep for every CPU."""
    for path in sources("base", "simd", "kernels"):
        if path.parts[-2] == "base" and path.suffix == ".cpp":
            continue
        foreign = {name for bracket, name in includes(path) if bracket == "<"} - FREESTANDING
        assert not foreign, f"{path}: {foreign}"
        used = set(re.findall(r"\bstd::(\w+)", without_comments(path.read_text()))) - {"size_t"}
        used = {name for name in used if not re.fullmatch(r"u?int\d+_t", name)}
        assert not used, f"{path}: std::{used}"


def test_conditions_live_in_the_lowest_floors():
    for path in sources(*set(CPP_FLOORS) - {"base", "simd", "cpu"}):
        found = re.findall(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*", path.read_text(), flags=re.MULTILINE)
        assert not found, f"{path}: {found}"


LIBM = r"exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|tan|sinh|cosh|tanh|asinh|acosh|atanh|atan|atan2|erf|cbrt|hypot"


def test_no_libm_in_cpp():
    """Their last bits differ between machines. sqrt and fma are exactly rounded and allowed."""
    for path in sources(*CPP_FLOORS):
        text = without_comments(path.read_text())
        found = re.findall(rf"\b(?:std|__builtin_)::?(?:{LIBM})f?l?\s*\(|\b__builtin_(?:{LIBM})f?\b", text)
        found += re.findall(rf"(?<![\w:.>])(?:::)(?:{LIBM})f?\s*\(|(?<![\w:.>])(?:{LIBM})f\s*\(", text)
        assert not found, f"{path}: {found}"


def test_no_fast_math():
    for path in (*ROOT.rglob("CMakeLists.txt"), *sources(*CPP_FLOORS)):
        text = re.sub(r"#[^\n]*", "", path.read_text()) if path.name == "CMakeLists.txt" else path.read_text()
        assert "ffast-math" not in without_comments(text), path
        assert "Ofast" not in without_comments(text), path


def modules():
    return sorted(p for p in PACKAGE.rglob("*.py"))


def name_of(path):
    """The first name below latchwork: "layers" for layers/dense.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """The first names below latchwork that a module imports."""
    inside = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("latchwork", *inside[: len(inside) - node.level + 1]) if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            dotted = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in dotted:
            top, _, rest = name.partition(".")
            if top == "latchwork":
                yield rest.split(".")[0]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_python_imports_go_down(path):
    name = name_of(path)
    if name == "__init__":
        return
    floors = {module: floor for floor, group in enumerate(PYTHON_FLOORS) for module in group}
    assert name in floors, f"{path}: give it a floor in PYTHON_FLOORS"
    for other in imported(path):
        if other in ("", "__version__"):
            continue
        assert other in floors, f"{path} imports {other!r}, which has no floor"
        assert other == name or floors[other] < floors[name], f"{path} imports {other}, which does not stand below it"


# What numpy and Python compute differently from one machine to the next, or in an order of their own.
FOREIGN_FUNCTIONS = {
    *LIBM.split("|"), *(f"arc{f}" for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")),
    "power", "float_power", "logaddexp", "logaddexp2", "linalg", "dot", "vdot", "inner", "outer", "matmul", "tensordot",
    "einsum", "convolve", "correlate", "mean", "average", "sum", "nansum", "nanmean", "std", "nanstd", "var", "nanvar",
    "cumsum", "cumprod", "trapezoid", "polyfit", "fft", "fsum",
}  # fmt: skip
FOREIGN_METHODS = {"mean", "sum", "std", "var", "dot", "cumsum", "cumprod", "trace"}
# What viz finds is looked at: it reaches no output, gradient or weight.
NUMERICAL_PATH = [p for p in modules() if name_of(p) not in {"demo", "__main__", "progress", "viz"}]


def of_integers(node):
    """Exact in any order: 2**64, or a sum that says dtype=np.int64."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)
    return any(k.arg == "dtype" and ast.unparse(k.value) == "np.int64" for k in getattr(node, "keywords", ()))


def foreign(tree):
    exact = {child for node in ast.walk(tree) if of_integers(node) for child in (node, getattr(node, "func", node))}
    for node in ast.walk(tree):
        if node in exact:
            continue
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            yield node.lineno, "@"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            yield node.lineno, "**"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"np", "math"}:
            if node.attr in FOREIGN_FUNCTIONS:
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FOREIGN_METHODS:
            yield node.lineno, f".{node.func.attr}()"


@pytest.mark.parametrize("path", NUMERICAL_PATH, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_results_come_from_the_core(path):
    text = path.read_text()
    found = [f"{path.name}:{line}: {what}: {text.splitlines()[line - 1]}" for line, what in foreign(ast.parse(text))]
    assert not found, "\n".join(found)


def test_the_search_finds_what_it_is_for():
    for bad in ("np.exp(x)", "a @ b", "x.mean()", "np.linalg.qr(a)", "beta ** step", "math.log(2)", "np.cumsum(x)"):
        assert list(foreign(ast.parse(bad))), bad
    for good in ("np.sqrt(x)", "x * y", "np.maximum(a, b)", "layer.log", "n.sum(dtype=np.int64)", "2**64"):
        assert not list(foreign(ast.parse(good))), good


def test_no_pickle_and_no_code_from_files():
    for path in modules():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"pickle", "marshal", "shelve", "importlib", "urllib", "socket"} & set(names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "__import__", "compile"}, f"{path}:{node.lineno}"
