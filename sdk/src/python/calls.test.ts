import { expect, test } from 'vitest'
import { errorsOf, places, APP, validate } from './testing.ts'

const blocked = (code: string): string[] =>
  errorsOf(code)
    .filter(({ rule }) => rule === 'blocked-call')
    .map((found) => `${found.line}:${found.column}-${found.end_column}`)

test.each([
  ['eval', 'eval("1")', ['1:1-5']],
  ['exec', 'exec("1")', ['1:1-5']],
  ['compile', 'compile("1", "f", "eval")', ['1:1-8']],
  ['__import__', '__import__("os")', ['1:1-11']],
  ['input', 'x = input("?")', ['1:5-10']],
  ['breakpoint', 'def f():\n    breakpoint()', ['2:5-15']],
  ['os.system', 'import os\nos.system("x")', ['2:1-10']],
  ['os.popen', 'import os\nos.popen("x")', ['2:1-9']],
  ['os.execvp', 'import os\nos.execvp("x", [])', ['2:1-10']],
  ['os.spawnl', 'import os\nos.spawnl(0, "x")', ['2:1-10']],
  ['os.fork', 'import os\nos.fork()', ['2:1-8']],
  ['os.forkpty', 'import os\nos.forkpty()', ['2:1-11']],
  ['os.kill', 'import os\nos.kill(1, 9)', ['2:1-8']],
  ['os._exit', 'import os\nos._exit(0)', ['2:1-9']],
  ['subprocess', 'import subprocess\nsubprocess.run(["x"])', ['2:1-15']],
  ['from subprocess', 'from subprocess import run\nrun(["x"])', ['2:1-4']],
  ['asyncio', 'import asyncio\nasyncio.create_subprocess_shell("x")', ['2:1-32']],
  ['process pool', 'from concurrent.futures import ProcessPoolExecutor\nProcessPoolExecutor()', ['2:1-20']],
  ['multiprocessing', 'import multiprocessing as m\nm.Process()', ['2:1-10']],
  ['a program in a thread', 'import asyncio, subprocess\nasyncio.to_thread(subprocess.run, [])', ['2:19-33']],
  ['importlib with a computed name', 'import importlib\nimportlib.import_module("a" + "b")', ['2:1-24']],
  ['builtins', 'import builtins\nbuiltins.eval("1")', ['2:1-14']],
  ['from os import', 'from os import system\nsystem("x")', ['2:1-7']],
  ['import as', 'from os import system as s\ns("x")', ['2:1-2']],
  ['module alias', 'import os as o\no.system("x")', ['2:1-9']],
  ['import os.path', 'import os.path\nos.system("x")', ['2:1-10']],
  ['star import', 'from os import *\nsystem("x")', ['2:1-7']],
  ['variable alias', 'e = eval\ne("1")', ['1:5-9', '2:1-2']],
  ['module in a variable', 'import os\no = os\no.system("x")', ['3:1-9']],
  ['walrus', '(e := eval)("1")', ['1:7-11']],
  ['getattr', 'import os\ngetattr(os, "system")("x")', ['2:1-22']],
  ['__dict__', 'import os\nos.__dict__["system"]("x")', ['2:1-22']],
  ['vars', 'import os\nvars(os)["system"]("x")', ['2:1-19']],
  ['sys.modules', 'import sys\nsys.modules["os"].system("x")', ['2:1-25']],
  ['__builtins__[]', '__builtins__["eval"]("1")', ['1:1-21']],
  ['__builtins__.', '__builtins__.eval("1")', ['1:1-18']],
  ['globals', 'globals()["__builtins__"].eval("1")', ['1:1-31']],
  ['argument', 'print(list(map(eval, ["1"])))', ['1:16-20']],
  ['decorator', '@eval\ndef f(): ...', ['1:2-6']],
  ['default', 'def f(a=eval): ...', ['1:9-13']],
  ['f-string', 'f"{eval(1)}"', ['1:4-8']],
  ['format spec', 'f"{1:{eval(2)}}"', ['1:7-11']],
  ['lambda', 'lambda x: eval(x)', ['1:11-15']],
  ['comprehension', '[eval(x) for x in []]', ['1:2-6']],
  ['a method of the same name', 'class A:\n    def eval(self):\n        return eval("1")', ['3:16-20']],
  ['shadowed elsewhere', 'def f(eval):\n    eval(1)\ndef g():\n    eval(2)', ['4:5-9']],
  ['in one of two branches', 'try:\n    from os import system as run\nexcept ImportError:\n    run = None\nrun("x")', ['5:1-4']],
  ['after an emoji', 'x = "😀é"; eval("1")', ['1:12-16']],
  ['CRLF', 'import os\r\n\r\nos.system("x")\r\n', ['3:1-10']],
])('finds %s', (_, code, expected) => {
  expect(blocked(code)).toEqual(expected)
}) // prettier-ignore

test.each([
  ['re.compile', 'import re\nre.compile("x")'],
  ['from re import compile', 'from re import compile\ncompile("x")'],
  ['a method', 'class M:\n    def eval(self): ...\nM().eval()\nm = M()\nm.exec("x")'],
  ['a chained method', 'def f(model):\n    model.to("x").eval()'],
  ['an own function', 'def input(x):\n    return x\ninput(1)'],
  ['an own async function', 'async def exec(x): ...\nexec(1)'],
  ['an own class', 'class compile: ...\ncompile()'],
  ['a parameter', 'def f(input, *, compile=1):\n    return input(compile)'],
  ['*args', 'def f(*eval, **exec):\n    return eval, exec'],
  ['a lambda parameter', 'f = lambda input: input'],
  ['a loop variable', 'for input in []:\n    print(input)'],
  ['a comprehension variable', 'x = [input for input in []]'],
  ['with as', 'with open("f") as input:\n    input.read()'],
  ['except as', 'try:\n    pass\nexcept ValueError as input:\n    print(input)'],
  ['unpacking', 'input, (compile, *exec) = f()\ninput(compile, exec)'],
  ['a match capture', 'match 1:\n    case input:\n        print(input)'],
  ['a match keyword', 'match 1:\n    case A(input=1, exec=compile):\n        print(compile)'],
  ['global', 'def g():\n    global input\n    input = 1\ndef h():\n    return input'],
  ['nonlocal', 'def g():\n    input = 1\n    def h():\n        nonlocal input\n        input = 2\n    return h'],
  ['a class attribute', 'class A:\n    input: str\n    eval = 1\n    print(eval)'],
  ['a keyword argument', 'f(input=1, eval=2)'],
  ['an attribute that is set', 'class A: ...\na = A()\na.input = 1\nprint(a.input)'],
  ['strings and comments', '# eval("1")\nx = "os.system(1)"\n"""exec(1)"""\ny = b"eval()"'],
  ['f-string text', 'x = f"eval(1) {1}"'],
  ['open', 'open("f").read()'],
  ['os itself', 'import os\nos.environ["A"], os.path.join("a"), os.getpid(), os.listdir(".")'],
  ['functions of the same name from a file of the app', 'from y import system, eval\nsystem(eval)'],
  ['a star import of a file of the app', 'from y import *\neval("1")'],
  ['getattr without a literal', 'import os\ngetattr(os, f())'],
  ['imports', 'import subprocess, signal, multiprocessing\nfrom os import system\nfrom subprocess import run, CalledProcessError'],
  ['names that start nothing', 'import subprocess, multiprocessing\nsubprocess.PIPE, subprocess.CalledProcessError, multiprocessing.cpu_count()'],
  ['signal handlers', 'import signal\nsignal.signal(signal.SIGTERM, print)'],
  ['importlib.import_module with a text', 'import importlib\nimportlib.import_module("json")\nimportlib.import_module("y")'],
  ['a script', 'import subprocess\nif __name__ == "__main__":\n    subprocess.run(["uvicorn"])'],
  ['an endless alias', 'a = b\nb = a\na()'],
])('leaves %s alone', (_, code) => {
  expect(errorsOf(code, { 'y.py': 'def system(x): ...\ndef eval(x): ...\n' })).toEqual([])
}) // prettier-ignore

test('the finding says why, and what to do instead', () => {
  const [found] = errorsOf('input("?")')
  expect(found?.message).toMatch(/^input waits for a terminal.*Take the value from the request/)
})

test('all .py files are checked, and no others', () => {
  const files = {
    'app.py': `${APP}eval("1")\n`,
    'a/b.py': 'exec("1")\n',
    'static/x.js': 'eval("1")',
    'n.txt': 'eval(1)',
  }
  expect(places(files, 'blocked-call')).toEqual(['a/b.py:1 blocked-call', 'app.py:3 blocked-call'])
  expect(validate(files).every(({ file }) => file.endsWith('.py'))).toBe(true)
})
