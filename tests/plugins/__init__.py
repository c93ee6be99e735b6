"""The plugin of pytest beside others, in an environment of its own.

They need the extra ``plugins`` and mockllm itself to be installed. Else each module is skipped."""
