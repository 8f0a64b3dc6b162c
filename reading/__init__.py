"""Reading what policies wrote: rollouts and exams as pages, at a terminal, as a file.

Needs neither DVC nor torch.
"""
