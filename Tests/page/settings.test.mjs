import assert from "node:assert/strict";
import test from "node:test";
import {advice, ServerError} from "../../Sources/InferenceServer/Resources/Page/api.mjs";
import {defaults, fields, fromRecord, problem} from "../../Sources/InferenceServer/Resources/Page/settings.mjs";

test("empty numbers are the server's", () => {
  assert.deepEqual(fields(defaults), {temperature: 0.3, repetition_penalty: 1.1, max_tokens: 2048});
  assert.equal(problem(defaults), null);
});

test("what the server would refuse is told and not sent", () => {
  for (const [name, value] of [
    ["temperature", "3"], ["temperature", "warm"], ["top_p", "-1"], ["top_k", "1.5"], ["seed", "-1"], ["max_tokens", "0"],
    ["repetition_penalty", "0"], ["top_p", "NaN"], ["max_tokens", "Infinity"],
  ]) {
    const settings = {...defaults, [name]: value};
    assert.match(problem(settings), new RegExp(`^${name} has to be .*“${value}”`));
    assert.equal(fields(settings)[name], undefined);
  }
});

test("damaged settings are the defaults", () => {
  for (const record of [null, 3, "x", [], {temperature: 7, stopsLoops: "no"}]) assert.deepEqual(fromRecord(record), defaults);
  assert.equal(fromRecord({seed: "7"}).seed, "7");
});

test("advice", () => {
  const model = {context_length: 4096, meta: {n_ctx_train: 32768}};
  const say = (code, what) => advice(new ServerError("", {code}), {what, model});
  assert.match(say("context_length_exceeded", "document"), /4,096 tokens.*--context.*32,768/);
  assert.match(say("context_length_exceeded", "answer"), /new chat.*--context/);
  assert.match(say("gone", "answer"), /ra serve/);
  assert.equal(say("invalid_value", "answer"), "");
  assert.equal(advice(new ServerError("", {code: "out_of_memory"}), {what: "document", model: null}).includes("--memory"), true);
});
