/**
 * Cuts the text of a JSON array into the texts of its items, so that each can be forwarded as it was sent. Parsing and
 * serialising again would change numbers that a double cannot hold.
 *
 * @param text - a JSON array that `JSON.parse` has accepted; what comes back for anything else is undefined
 * @returns the text of each item, without the white space around it (grammar: RFC 8259, section 5)
 */
export function splitJsonArray(text: string): string[] {
  const items: string[] = [];
  let depth = 0;
  let inString = false;
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === '\\') i++;
      else if (char === '"') inString = false;
      continue;
    }
    if (depth === 1 && (char === ',' || char === ']')) {
      const item = text.slice(start, i).trim();
      // An empty array has no comma and nothing but white space between its brackets.
      if (item !== '') items.push(item);
      start = i + 1;
    }
    if (char === '"') inString = true;
    else if (char === '[' || char === '{') {
      depth++;
      if (depth === 1) start = i + 1;
    } else if (char === ']' || char === '}') depth--;
  }
  return items;
}
