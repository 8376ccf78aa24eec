// One answer -> what a person sees. A model's words go in as text (textContent), never as HTML.

export function make(tag, { text, ...rest } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(rest)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const isNumbers = (value) => Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "number");
const percent = (value) => `${(100 * value).toFixed(1)} %`;

// Text that is not UTF-8 comes back as an object of base64.
const plain = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));

function bars(names, values) {
  const list = make("ul", { class: "bars" });
  const order = values.map((_, at) => at).sort((a, b) => values[b] - values[a]);
  for (const at of order) {
    const fill = make("div", { class: "fill" });
    fill.style.width = `${Math.max(0, Math.min(100, 100 * values[at]))}%`;
    list.append(
      make(
        "li",
        { class: at === order[0] ? "best" : "other" },
        make("span", { class: "name", text: plain(names[at] ?? at) }),
        make("div", { class: "track", "aria-hidden": "true" }, fill),
        make("span", { class: "figure", text: percent(values[at]) }),
      ),
    );
  }
  return list;
}

// Places are counted in code points, as the model counts them, not in JavaScript's units of UTF-16.
function highlighted(text, spans) {
  const points = Array.from(text);
  const shown = make("p", { class: "text" });
  const hues = new Map();
  let at = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    if (span.start < at || span.end <= span.start || span.end > points.length) continue;
    shown.append(points.slice(at, span.start).join(""));
    if (!hues.has(span.label)) hues.set(span.label, hues.size % 6);
    const marked = make("mark", { class: `hue-${hues.get(span.label)}`, text: points.slice(span.start, span.end).join("") });
    if (span.label) marked.append(make("span", { class: "tag", text: span.label }));
    if (span.score !== undefined) marked.title = percent(span.score);
    shown.append(marked);
    at = span.end;
  }
  shown.append(points.slice(at).join(""));
  return shown;
}

function spansOf(answer) {
  const labels = answer.labels ?? [];
  return answer.starts
    .map((start, at) => ({ start, end: answer.ends[at], label: plain(labels[at] ?? ""), score: answer.scores?.[at] }))
    .filter((span) => span.start >= 0);
}

function parts(answer, asked, labels) {
  if (Array.isArray(answer.starts) && Array.isArray(answer.ends)) {
    const spans = spansOf(answer);
    const what = answer.predicate_word === "" ? "That place is in no word" : "Nothing found in this text";
    return [highlighted(asked.text ?? "", spans), ...(spans.length ? [] : [make("p", { class: "headline", text: what })])];
  }
  if (typeof answer.start === "number" && typeof answer.end === "number") {
    const found = answer.start >= 0 ? [{ start: answer.start, end: answer.end, label: "", score: answer.score }] : [];
    const names = (answer.answers ?? []).filter((text) => text !== "");
    return [
      make("p", { class: "headline", text: found.length ? plain(answer.answer) : "No answer in this text" }),
      highlighted(asked.context ?? "", found),
      bars(names, (answer.answer_scores ?? []).slice(0, names.length)),
    ];
  }
  if (typeof answer.filled === "string" && Array.isArray(answer.words)) {
    const gaps = answer.words.slice(0, answer.count ?? answer.words.length);
    return [make("p", { class: "headline", text: answer.filled }), ...gaps.map((words, gap) => bars(words, answer.scores[gap]))];
  }
  if (Array.isArray(answer.labels) && isNumbers(answer.probabilities)) {
    const chosen = answer.labels.slice(0, answer.count ?? answer.labels.length).map(plain).join(", ");
    return [make("p", { class: "headline", text: chosen || "None of the labels" }), bars(labels, answer.probabilities)];
  }
  if (answer.label !== undefined) {
    const shown = [make("p", { class: "headline", text: plain(answer.label) })];
    if (isNumbers(answer.probabilities)) shown.push(bars(labels, answer.probabilities));
    else if (typeof answer.score === "number") shown.push(bars([answer.label], [answer.score]));
    return shown;
  }
  if (answer.finish_reason !== undefined) {
    if (answer.finish_reason === "error") return [make("p", { class: "note", text: plain(answer.error) })];
    return [make("p", { class: "written", text: plain(answer.answer ?? answer.text) })];
  }
  if (isNumbers(answer.embedding)) {
    const first = answer.embedding.slice(0, 8).map((one) => one.toFixed(3)).join(", ");
    return [make("p", { class: "headline", text: `${answer.embedding.length} numbers` }), make("p", { text: `${first}, …` })];
  }
  const lone = answer.value ?? answer.score ?? (Object.keys(answer).length === 1 ? Object.values(answer)[0] : undefined);
  if (typeof lone === "number") return [make("p", { class: "headline", text: String(Number(lone.toPrecision(6))) })];
  const list = make("dl");
  for (const [name, value] of Object.entries(answer)) {
    list.append(make("dt", { text: name }), make("dd", { text: typeof value === "string" ? value : JSON.stringify(value) }));
  }
  return [list];
}

// answer: output name -> value of one row; asked: input name -> value; labels: names in the order of probabilities.
export function show(place, answer, asked, labels) {
  const shown = parts(answer, asked, labels ?? []);
  if (answer.truncated === true) {
    shown.push(make("p", { class: "note", text: "The text was too long for the model: a part of it was not read." }));
  }
  place.replaceChildren(...shown);
}
