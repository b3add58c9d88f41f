# SPDX-License-Identifier: Apache-2.0
"""Reads the OpenAPI 3.0 files of openapi/ and checks values against their schemas, both strictly.

Strict in two ways that a general validator is not. A keyword that this reader does not know is an error in
the file, not something to skip: `sessions:` in the place of `items:` went unseen upstream because every tool skipped
it. And a property that a schema does not name is a problem, although OpenAPI allows it: a misspelled field is the most
likely mistake of a client, and these files name all of them.
"""

import dataclasses
import pathlib
import re

from .settings import Wrong

FOLDER = pathlib.Path(__file__).parent / "openapi"
METHODS = ("get", "post", "put", "delete", "patch", "head", "options")

# The keywords of each kind of object, and which of them must be there.
KEYWORDS = {
    "document": ({"openapi", "info", "servers", "paths", "components"}, {"openapi", "info", "paths"}),
    "operation": ({"description", "parameters", "requestBody", "responses"}, {"responses"}),
    "parameter": ({"name", "in", "description", "required", "schema"}, {"name", "in", "schema"}),
    "request body": ({"description", "content", "required"}, {"content"}),
    "response": ({"description", "content"}, {"description"}),
    "media type": ({"schema", "examples"}, {"schema"}),
    "schema": ({"title", "description", "type", "properties", "items", "enum", "required", "minimum", "maximum",
                "default", "readOnly", "pattern"}, {"type"}),
    "components": ({"schemas", "responses"}, set()),
}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
}


class Malformed(Wrong):
    """The file is not the OpenAPI that it should be."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One way in which a value is not what its schema says."""

    code: str  # type, enum, range, pattern, required, unknown-property
    at: str  # "$[0].location.type"
    name: str  # the property, or the type that was found
    text: str


def kind_of(value):
    """The JSON type of a value, as OpenAPI calls it."""
    if value is None:
        return "null"
    return next((name for name, is_it in TYPES.items() if is_it(value)), "number")


def _load_yaml(path):
    try:
        import yaml
    except ImportError as e:
        raise Malformed(f"{path}: Python has no yaml module (Debian: python3-yaml; scripts/deps installs it)") from e

    class Loader(yaml.SafeLoader):
        """A second key of the same name is a mistake, not the better value."""

        def construct_mapping(self, node, deep=False):
            keys = [k.value for k, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise Malformed(f"{path}:{node.start_mark.line + 1}: {key} is there twice")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(pathlib.Path(path).read_text(encoding="utf-8"), Loader)
    except yaml.YAMLError as e:
        raise Malformed(f"{path}: {e}") from e


class Document:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.tree = _load_yaml(path)
        self._keywords(self.tree, "document", "")
        components = self.tree.get("components", {})
        self._keywords(components, "components", "components")
        self.schemas = components.get("schemas", {})
        self.responses = components.get("responses", {})
        for name, schema in self.schemas.items():
            self._lint_schema(schema, f"components.schemas.{name}")
        for name, response in self.responses.items():
            self._lint_response(response, f"components.responses.{name}")
        self.operations = {}  # (method, template) -> operation
        for template, item in self.tree["paths"].items():
            for method, operation in item.items():
                where = f"{method.upper()} {template}"
                if method not in METHODS:
                    raise Malformed(f"{self.path}: {where}: no such method")
                self._lint_operation(operation, template, where)
                self.operations[method.upper(), template] = operation

    # ---- is the file in order? ----

    def _keywords(self, value, kind, where):
        if not isinstance(value, dict):
            raise Malformed(f"{self.path}: {where}: a {kind} must be an object")
        known, needed = KEYWORDS[kind]
        for name in value:
            if name not in known:
                raise Malformed(f"{self.path}: {where}: {name} is not a keyword of a {kind}")
        for name in needed - set(value):
            raise Malformed(f"{self.path}: {where}: a {kind} needs {name}")

    def _reference(self, value, section, where):
        """What a {$ref: ..} points to; None when value is not one."""
        if not isinstance(value, dict) or "$ref" not in value:
            return None
        match = re.fullmatch(rf"#/components/{section}/([A-Za-z]+)", str(value["$ref"]))
        if len(value) != 1 or not match:
            raise Malformed(f"{self.path}: {where}: {value['$ref']} does not point to one of components.{section}")
        found = self.tree.get("components", {}).get(section, {}).get(match[1])
        if found is None:
            raise Malformed(f"{self.path}: {where}: there is no {value['$ref']}")
        return found

    def _lint_schema(self, schema, where):
        if self._reference(schema, "schemas", where) is not None:
            return
        self._keywords(schema, "schema", where)
        kind = schema["type"]
        if kind not in TYPES:
            raise Malformed(f"{self.path}: {where}: no such type: {kind}")
        if (kind == "array") != ("items" in schema):
            raise Malformed(f"{self.path}: {where}: items belongs to an array, and an array needs items")
        if kind != "object" and ("properties" in schema or "required" in schema):
            raise Malformed(f"{self.path}: {where}: only an object has properties")
        for name in schema.get("required", []):
            if name not in schema.get("properties", {}):
                raise Malformed(f"{self.path}: {where}: {name} is required and not a property")
        for name, part in schema.get("properties", {}).items():
            self._lint_schema(part, f"{where}.{name}")
        if "items" in schema:
            self._lint_schema(schema["items"], f"{where}[]")
        if "default" in schema and self.check(schema["default"], schema):
            raise Malformed(f"{self.path}: {where}: the default does not satisfy the schema")

    def _lint_content(self, content, where):
        for media, it in content.items():
            self._keywords(it, "media type", f"{where} {media}")
            self._lint_schema(it["schema"], f"{where} {media}")
            for name, example in it.get("examples", {}).items():
                for problem in self.check(example["value"], it["schema"]):
                    raise Malformed(f"{self.path}: {where}: example {name}: {problem.at}: {problem.text}")

    def _lint_response(self, response, where):
        if self._reference(response, "responses", where) is None:
            self._keywords(response, "response", where)
            self._lint_content(response.get("content", {}), where)

    def _lint_operation(self, operation, template, where):
        self._keywords(operation, "operation", where)
        parameters = operation.get("parameters", [])
        if not isinstance(parameters, list):
            raise Malformed(f"{self.path}: {where}: parameters must be a list")
        for parameter in parameters:
            self._keywords(parameter, "parameter", where)
            self._lint_schema(parameter["schema"], f"{where} {parameter['name']}")
        in_path = {p["name"] for p in parameters if p["in"] == "path" and p.get("required")}
        if in_path != set(re.findall(r"\{(\w+)\}", template)):
            raise Malformed(f"{self.path}: {where}: the path's names and its parameters differ")
        if "requestBody" in operation:
            self._keywords(operation["requestBody"], "request body", where)
            self._lint_content(operation["requestBody"]["content"], where)
        for status, response in operation["responses"].items():
            if not re.fullmatch(r"[1-5]\d\d", str(status)):
                raise Malformed(f"{self.path}: {where}: {status} is not a status")
            self._lint_response(response, f"{where} {status}")

    # ---- is a value in order? ----

    def schema(self, schema):
        return self._reference(schema, "schemas", "") or schema

    def response(self, operation, status):
        """The response object of a status, None when the operation has none."""
        found = operation["responses"].get(str(status))
        return found and (self._reference(found, "responses", "") or found)

    def find(self, method, path):
        """(template, operation, path parameters) of a request; operation None when there is no such."""
        for (its_method, template), operation in self.operations.items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
            match = re.fullmatch(pattern, path)
            if match and its_method == method:
                return template, operation, match.groupdict()
        return None, None, {}

    def check(self, value, schema, at="$"):
        """The Problems of a value; empty when it satisfies the schema."""
        schema = self.schema(schema)
        kind = schema["type"]
        if not TYPES[kind](value):
            return [Problem("type", at, kind_of(value), f"is {kind_of(value)} and should be {kind}")]
        problems = []
        if "enum" in schema and value not in schema["enum"]:
            problems.append(Problem("enum", at, str(value)[:80], f"is {str(value)[:80]!r} and not one of {schema['enum']}"))
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            problems.append(Problem("pattern", at, "", f"does not look like {schema['pattern']}"))
        low, high = schema.get("minimum"), schema.get("maximum")
        if (low is not None and value < low) or (high is not None and value > high):
            problems.append(Problem("range", at, str(value)[:80], f"is {str(value)[:80]} and not in {low}..{high}"))
        if kind == "object":
            problems += self._check_object(value, schema, at)
        elif kind == "array":
            for number, item in enumerate(value):
                problems += self.check(item, schema["items"], f"{at}[{number}]")
        return problems

    def _check_object(self, value, schema, at):
        problems = [Problem("required", f"{at}.{name}", name, "is missing")
                    for name in schema.get("required", []) if name not in value]
        properties = schema.get("properties", {})
        for name, part in value.items():
            if name in properties:
                problems += self.check(part, properties[name], f"{at}.{name}")
            else:
                problems.append(Problem("unknown-property", f"{at}.{name}", name, "is not a property"))
        return problems

    def check_text(self, text, schema, at):
        """A parameter of a URL, which is text whatever its type."""
        schema = self.schema(schema)
        if schema["type"] == "integer":
            if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text):
                return [Problem("type", at, "string", f"is {text[:80]!r} and should be an integer")]
            return self.check(int(text), schema, at)
        return self.check(text, schema, at)
