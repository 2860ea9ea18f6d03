"""Everything of TRL that is touched: its supervised, DPO and KTO trainers, their settings and collators."""
