import assert from "node:assert/strict";
import test from "node:test";
import {
  add, fromRecord, newConversation, path, remove, select, title, told, versions,
} from "../../Sources/InferenceServer/Resources/Page/conversations.mjs";

const said = conversation => path(conversation).map(message => message.content);

function talk() {
  const conversation = newConversation("doc");
  add(conversation, "user", "one");
  const first = add(conversation, "assistant", "1");
  add(conversation, "user", "two");
  const second = add(conversation, "assistant", "2");
  for (const answer of [first, second]) answer.ended = "stop";
  return {conversation, first, second};
}

test("an edited question begins anew, and the old one is still there", () => {
  const {conversation} = talk();
  const question = path(conversation)[2];
  add(conversation, "user", "zwei", question.parent);
  assert.deepEqual(said(conversation), ["one", "1", "zwei"]);
  assert.equal(versions(conversation, question).length, 2);
  select(conversation, question);
  assert.deepEqual(said(conversation), ["one", "1", "two", "2"]);
});

test("another answer stands beside the first; what followed the first follows it still", () => {
  const {conversation, first} = talk();
  const other = add(conversation, "assistant", "I", first.parent);
  assert.deepEqual(said(conversation), ["one", "I"]);
  remove(conversation, other);
  assert.deepEqual(said(conversation), ["one", "1", "two", "2"]);
  remove(conversation, path(conversation)[0]);
  assert.deepEqual(said(conversation), []);
  assert.equal(conversation.messages.length, 0);
});

test("the model is told whole turns", () => {
  const {conversation, first, second} = talk();
  const tell = more => told(path(conversation), more).map(({role, content}) => role + ": " + content);
  add(conversation, "user", "three");
  assert.deepEqual(tell(), ["user: one", "assistant: 1", "user: two", "assistant: 2", "user: three"]);
  first.content = "";
  assert.deepEqual(tell(), ["user: two", "assistant: 2", "user: three"]);
  second.ended = "error";
  assert.deepEqual(tell({system: "be brief"}), ["system: be brief", "user: three"]);
  first.content = "1";
  assert.deepEqual(tell({document: "A text."}), ["user: A text.\n\none", "assistant: 1", "user: three"]);
});

test("an answer that is gone on with is told as far as it is", () => {
  const {conversation, second} = talk();
  second.ended = "error";
  second.reasoning = "hm";
  assert.deepEqual(told(path(conversation)), [
    {role: "user", content: "one"}, {role: "assistant", content: "1"}, {role: "user", content: "two"},
    {role: "assistant", content: "2", reasoning_content: "hm"},
  ]);
});

test("a circle is told once", () => {
  const {conversation, first} = talk();
  const sentence = "She could not be certain of what had been said, and was not willing to ask about it a second time. ";
  first.content = sentence.repeat(5);
  first.ended = "loop";
  assert.equal(told(path(conversation))[1].content, sentence);
});

test("what was stored comes back", () => {
  const {conversation} = talk();
  assert.deepEqual(fromRecord(structuredClone(conversation)), conversation);
});

test("damaged records are repaired or refused", () => {
  const {conversation} = talk();
  for (const value of [null, 7, "x", [], {}, {...conversation, version: 2}, {...conversation, id: ""}, {...conversation, messages: 1}]) {
    assert.equal(fromRecord(value), null);
  }
  const record = structuredClone(conversation);
  record.messages[2].parent = record.messages[3].id;
  record.messages.push(null, 3, {id: "x"}, {...record.messages[0]}, {id: "y", role: "tool", parent: "", content: ""});
  record.title = 3;
  const read = fromRecord(record);
  assert.deepEqual(said(read), ["one", "1"], "no circle, and nothing twice");
  assert.equal(read.title, "");
  const open = structuredClone(conversation);
  delete open.messages[3].ended;
  assert.equal(fromRecord(open).messages[3].ended, "open", "an answer whose page went away");
});

test("names of conversations", () => {
  assert.equal(title("  Who wrote\tthe letter?\nAnd why?"), "Who wrote the letter?");
  assert.equal(title("a".repeat(100)), "a".repeat(59) + "…");
});
