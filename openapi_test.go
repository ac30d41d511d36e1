package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// apiDescription is openapi.json, to hold answers against. A schema of OpenAPI
// 3.1 is a JSON Schema.
type apiDescription struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

const openapiURL = "https://rollcall.test/openapi.json"

func newAPIDescription(t testing.TB) *apiDescription {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapiDocument))
	if err != nil {
		t.Fatal(err)
	}
	d := &apiDescription{document.(map[string]any), jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(openapiURL, document); err != nil {
		t.Fatal(err)
	}
	return d
}

// at returns what a JSON pointer leads to, following references, and where that
// stands; nil if there is nothing.
func (d *apiDescription) at(keys ...string) (object map[string]any, pointer string) {
	object = d.document
	for _, key := range keys {
		object, _ = object[key].(map[string]any)
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		if reference, ok := object["$ref"].(string); ok {
			pointer = strings.TrimPrefix(reference, "#")
			object, _ = d.at(pointerKeys(pointer)...)
		}
	}
	return object, pointer
}

// template returns the path of the document that a request's path is of, "" if
// it has none.
func (d *apiDescription) template(path string) string {
	paths, _ := d.at("paths")
	segments := strings.Split(path, "/")
next:
	for template := range paths {
		parts := strings.Split(template, "/")
		if len(parts) != len(segments) {
			continue
		}
		for i, part := range parts {
			if part != segments[i] && !(strings.HasPrefix(part, "{") && segments[i] != "") {
				continue next
			}
		}
		return template
	}
	return ""
}

// check tells what of an answer the document does not describe.
func (d *apiDescription) check(method, path string, answer *http.Response, body []byte) error {
	status := strconv.Itoa(answer.StatusCode)
	verb := strings.ToLower(strings.Replace(method, "HEAD", "GET", 1))
	where := []string{"paths", d.template(path), verb, "responses", status}
	if operation, _ := d.at(where[:3]...); operation == nil {
		where = []string{"components", "responses", map[int]string{
			http.StatusUnauthorized: "Unauthorized", http.StatusForbidden: "CrossOrigin", http.StatusNotFound: "NotFound",
			http.StatusMethodNotAllowed: "MethodNotAllowed", http.StatusMisdirectedRequest: "Misdirected",
		}[answer.StatusCode]}
	}
	described, pointer := d.at(where...)
	if described == nil {
		return fmt.Errorf("%s %s: no answer %s is described", method, path, status)
	}
	headers, _ := described["headers"].(map[string]any)
	for name := range headers {
		_, schema := d.at(append(pointerKeys(pointer), "headers", name, "schema")...)
		if err := d.validate(schema, answer.Header.Get(name)); err != nil {
			return fmt.Errorf("%s %s: %s: header %s: %w", method, path, status, name, err)
		}
	}
	for _, name := range []string{"ETag", "Rollcall-Version", "Allow"} {
		if answer.Header.Get(name) != "" && headers[name] == nil {
			return fmt.Errorf("%s %s: %s: header %s is not described", method, path, status, name)
		}
	}
	content, _ := described["content"].(map[string]any)
	if len(content) == 0 || method == http.MethodHead {
		if len(body) > 0 {
			return fmt.Errorf("%s %s: %s: no body is described: %s", method, path, status, body)
		}
		return nil
	}
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if content[mediaType] == nil {
		return fmt.Errorf("%s %s: %s: Content-Type %q is not described", method, path, status, mediaType)
	}
	if mediaType != "application/json" {
		return nil
	}
	_, schema := d.at(append(pointerKeys(pointer), "content", mediaType, "schema")...)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = d.validate(schema, value)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %s: %w", method, path, status, err)
	}
	return nil
}

// pointerKeys takes a JSON pointer apart.
func pointerKeys(pointer string) []string {
	keys := strings.Split(pointer, "/")[1:]
	for i, key := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
	}
	return keys
}

// validate holds a value against the schema that a pointer leads to.
func (d *apiDescription) validate(pointer string, value any) error {
	schema, err := d.compiler.Compile(openapiURL + "#" + pointer)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// valid holds JSON against one of the document's schemas.
func (d *apiDescription) valid(t testing.TB, schema string, body []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = d.validate("/components/schemas/"+schema, value)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, body)
	}
}

func TestEveryEndpointIsDescribed(t *testing.T) {
	stand := newAdminStand(t)
	described := map[string]bool{}
	for path, item := range stand.api.document["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, e := range stand.admin.endpoints(stand.metrics) {
		name := e.method + " " + e.path
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is described, and there is none", name)
	}
}

// The check must be able to fail.
func TestDescriptionIsStrict(t *testing.T) {
	d := newAPIDescription(t)
	answer := func(status int, fields ...string) *http.Response {
		r := &http.Response{StatusCode: status, Header: http.Header{}}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		return r
	}
	good := []string{"Content-Type", "application/json", "Rollcall-Version", "3"}
	engine := `{"engine":"unix:///e","good":true,"error":"","since":"2026-01-02T03:04:05Z","last_good_poll":null,"age":null}`
	if err := d.check("GET", "/v1/engine", answer(200, good...), []byte(engine)); err != nil {
		t.Fatal(err)
	}
	var fewer map[string]any
	if err := json.Unmarshal([]byte(engine), &fewer); err != nil {
		t.Fatal(err)
	}
	delete(fewer, "age")
	without, _ := json.Marshal(fewer)
	for what, err := range map[string]error{
		"another status":    d.check("GET", "/v1/engine", answer(204, good...), nil),
		"another method":    d.check("POST", "/v1/engine", answer(200, good...), []byte(engine)),
		"another path":      d.check("GET", "/v1/engines", answer(200, good...), []byte(engine)),
		"a type of its own": d.check("GET", "/v1/engine", answer(200, "Content-Type", "text/html", "Rollcall-Version", "3"), []byte(engine)),
		"no version":        d.check("GET", "/v1/engine", answer(200, good[:2]...), []byte(engine)),
		"an ETag":           d.check("GET", "/v1/engine", answer(200, append(good, "ETag", `"a"`)...), []byte(engine)),
		"a missing field":   d.check("GET", "/v1/engine", answer(200, good...), without),
		"a further field":   d.check("GET", "/v1/engine", answer(200, good...), []byte(strings.Replace(engine, "{", `{"more":1,`, 1))),
		"a bad time":        d.check("GET", "/v1/engine", answer(200, good...), []byte(strings.Replace(engine, "2026-01-02T", "2026-01-02 ", 1))),
		"an unknown state":  d.check("GET", "/v1/backends", answer(200, append(good, "ETag", `"a"`)...), []byte(`[{"state":"fine"}]`)),
	} {
		if err == nil {
			t.Errorf("%s passes", what)
		}
	}
}
