import { z } from 'zod';

/** A JSON Schema, or any other part of a document. */
export type Json = Readonly<Record<string, unknown>>;

/** Where both AsyncAPI and OpenAPI keep schemas that have a name. */
const NAMED = '#/components/schemas/';

/** A reference to a schema that has a name. */
export function schemaRef(name: string): Json {
  return { $ref: NAMED + name };
}

/**
 * The JSON Schemas of validators: what they take. Where one that has a name is part of another there is a reference.
 *
 * @param named - zod schemas by the name they get in `components.schemas`
 * @param target - the dialect: AsyncAPI 3.0 builds on draft 7, OpenAPI 3.1 on draft 2020-12
 */
export function jsonSchemas<Name extends string>(
  named: Readonly<Record<Name, z.ZodType>>,
  target: 'draft-7' | 'draft-2020-12',
): Record<Name, Json> {
  const names = new Map(Object.entries<z.ZodType>(named).map(([name, schema]) => [schema as z.core.$ZodType, name]));
  const entries = Object.entries<z.ZodType>(named).map(([name, schema]) => {
    const { $schema: _dialect, ...json } = z.toJSONSchema(schema, {
      target,
      io: 'input',
      override: ({ zodSchema, jsonSchema, path }) => {
        const other = path.length > 0 ? names.get(zodSchema) : undefined;
        // That a value is frozen in TypeScript says nothing about the wire.
        delete jsonSchema.readOnly;
        if (other === undefined) return;
        for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key];
        Object.assign(jsonSchema, schemaRef(other));
      },
    });
    return [name, json];
  });
  return Object.fromEntries(entries) as Record<Name, Json>;
}

/** The text of a document, as it is served and as it is checked in. */
export function documentText(document: Json): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}
