// Fills in a chat template as CChatTemplates does, for scripts/check-templates.
//
// Reads fields from standard input and writes some to standard output, each as "LENGTH:BYTES". In: source, BOS, EOS, number
// of cases; for each case generation prompt (0 or 1), time, arguments (empty for none), number of messages, and role and
// content of each; or 2 and a request of ct_formats_apply. Out: the error, if the template can't be parsed; else nothing, and 1 where it wants parts; for each case
// "ok", "refused" or "error", number of pieces (1 for the two others), and for each whether it is the template's own, and
// its text.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_templates.h"

static char *read_field(size_t *length) {
    if (scanf("%zu", length) != 1 || getchar() != ':') exit(2);
    char *field = malloc(*length + 1);
    if (field == NULL || fread(field, 1, *length, stdin) != *length) exit(2);
    field[*length] = 0;
    return field;
}

static char *read_text(void) {
    size_t length;
    return read_field(&length);
}

static long read_number(void) { return strtol(read_text(), NULL, 10); }

static void write_field(const char *text, size_t length) {
    printf("%zu:", length);
    fwrite(text, 1, length, stdout);
}

static void write_text(const char *text) { write_field(text, strlen(text)); }

static void write_number(size_t number) {
    char text[32];
    snprintf(text, sizeof text, "%zu", number);
    write_text(text);
}

static void write_failure(const char *error, bool is_refusal) {
    write_text(is_refusal ? "refused" : "error");
    write_text("1");
    write_text("0");
    write_text(error);
}

static void write_piece(ct_piece piece) {
    write_text(piece.is_template ? "1" : "0");
    write_field(piece.text, piece.length);
}

static void apply_case(const ct_formats *formats) {
    char *error;
    bool is_refusal;
    ct_format *format = ct_formats_apply(formats, read_text(), &error, &is_refusal);
    if (format == NULL) {
        write_failure(error, is_refusal);
        return;
    }
    write_text("ok");
    write_number(ct_format_piece_count(format));
    for (size_t i = 0; i < ct_format_piece_count(format); i++) write_piece(ct_format_piece(format, i));
    ct_format_free(format);
}

static void render_case(const ct_template *chat_template, const ct_formats *formats) {
    const long kind = read_number();
    if (kind == 2) {
        apply_case(formats);
        return;
    }
    ct_options options = {.add_generation_prompt = kind != 0, .enable_thinking = -1};
    options.time = read_number();
    char *arguments = read_text();
    options.arguments = *arguments ? arguments : NULL;
    const size_t count = (size_t)read_number();
    ct_message *messages = calloc(count + 1, sizeof *messages);
    for (size_t i = 0; i < count; i++) {
        messages[i].role = read_text();
        messages[i].content = read_field(&messages[i].content_length);
    }
    char *error;
    bool is_refusal;
    ct_prompt *prompt = ct_template_render(chat_template, messages, count, options, &error, &is_refusal);
    if (prompt == NULL) {
        write_failure(error, is_refusal);
        return;
    }
    write_text("ok");
    write_number(ct_prompt_count(prompt));
    for (size_t i = 0; i < ct_prompt_count(prompt); i++) write_piece(ct_prompt_piece(prompt, i));
    ct_prompt_free(prompt);
}

int main(void) {
    size_t length;
    char *source = read_field(&length), *bos = read_text(), *eos = read_text(), *error;
    ct_template *chat_template = ct_template_create(source, length, bos, eos, &error);
    write_text(chat_template == NULL ? error : "");
    if (chat_template == NULL) return 0;
    write_text(ct_template_wants_parts(chat_template) ? "1" : "0");
    ct_formats *formats = ct_formats_create(source, length, bos, eos, &error);
    if (formats == NULL) return 3;
    for (long cases = read_number(); cases > 0; cases--) render_case(chat_template, formats);
    ct_formats_free(formats);
    ct_template_free(chat_template);
    return 0;
}
