"""The contract as files for every language: JSON Schemas, AsyncAPI, TypeScript and golden messages.

`python -m tms_events export DIR` writes them. The repository holds them under `schemas/`; the wheel and the
npm package ship them.
"""
